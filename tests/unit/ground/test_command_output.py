"""What commands print of what others wrote: in columns, on lines that fit, and harmless."""

from copy import copy

import psycopg
import pytest
import typer
from sqlalchemy.exc import OperationalError

from groupline.cli.output import columns, command, one_line, paragraph, repeated_by, table
from groupline.db.failures import OutcomeUnknown
from groupline.db.ledger import note_begun, note_committed

LOST = OperationalError("SELECT 1", {}, psycopg.OperationalError("connection refused"))
UNKNOWN = OutcomeUnknown("server closed the connection")


@pytest.mark.parametrize(
    ("text", "width", "line"),
    [
        ("one\n two\tthree", None, "one two three"),
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("ab cdefg", 4, "ab…"),
        ("課程提醒訊息", 7, "課程提…"),
        ("\x1b[2J\x07gone", None, "?[2J?gone"),
        ("left\u202eright", None, "left?right"),
        ("\u0915\u094d\u200d\u0937", None, "\u0915\u094d\u200d\u0937"),
    ],
    ids=["breaks", "fits", "cut", "space", "wide", "escape", "direction", "joined"],
)
def test_a_line_is_one_line_that_fits_and_steers_nothing(
    text: str, width: int | None, line: str
) -> None:
    assert one_line(text, width) == line
    assert width is None or columns(line) <= width


def test_a_paragraph_keeps_its_lines_and_breaks_the_long_ones() -> None:
    assert paragraph("one\n\ntwo \x1b[31m", indent="  ", width=None) == "  one\n\n  two ?[31m"
    broken = paragraph("not-acceptable, " * 4, indent="  ", width=30).split("\n")
    assert broken == ["  not-acceptable,"] * 4
    assert paragraph("x" * 50, indent="  ", width=30) == f"  {'x' * 28}\n  {'x' * 22}"


def test_columns_stand_in_line_whatever_is_written_in_them() -> None:
    lines = table([["NAME", "N"], ["課程", "1"], ["e\u0301te", "2"]]).split("\n")
    assert [columns(line) for line in lines] == [7, 7, 7]


@pytest.mark.parametrize(
    ("failure", "begun", "committed", "said"),
    [
        (LOST, 0, 0, "The database cannot be reached right now. (connection refused)"),
        (LOST, 1, 0, "right now. Nothing was changed. (connection refused)"),
        (LOST, 2, 1, "a part of it may be saved. Look what is there before you repeat it. (conn"),
        (UNKNOWN, 1, 0, "completely, or not at all. Look what is there before you repeat it. ("),
    ],
)
def test_a_command_says_what_became_of_what_it_was_to_save(
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    begun: int,
    committed: int,
    said: str,
) -> None:
    @command
    async def fails() -> None:
        for _ in range(begun):
            note_begun()
        for _ in range(committed):
            note_committed()
        raise failure

    with pytest.raises(typer.Exit) as ended:
        fails()
    err = capsys.readouterr().err
    assert ended.value.exit_code == 1
    assert said in err
    assert err.count("\n") == 1
    assert ("Nothing was changed" in err) is (failure is LOST and begun == 1)


@pytest.mark.parametrize(("failure", "committed"), [(UNKNOWN, 0), (LOST, 1), (LOST, 0)])
def test_how_to_repeat_it_is_said_only_where_something_may_be_saved(
    capsys: pytest.CaptureFixture[str], failure: Exception, committed: int
) -> None:
    @command
    async def fails() -> None:
        note_begun()
        if committed:
            note_committed()
        with repeated_by("Once more, please."):
            raise copy(failure)  # it is told there how to repeat

    with pytest.raises(typer.Exit):
        fails()
    err = capsys.readouterr().err
    unchanged = "Nothing was changed" in err
    assert ("Once more, please." in err) is not unchanged
    assert "Look what is there" not in err
    assert unchanged is (failure is LOST and not committed)
