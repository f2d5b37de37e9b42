"""What commands print of what others wrote: in columns, on lines that fit, and harmless."""

import pytest

from groupline.cli.output import columns, one_line, paragraph, table


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
