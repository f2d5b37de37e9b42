"""What people type: which of it is stored, and what counts as nothing."""

import pytest

from groupline.errors import InvalidInput
from groupline.text import beginning, check_text, clean_line, is_blank

CONTROLS = ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\ud800", "\udfff"]


@pytest.mark.parametrize("char", [*CONTROLS, "\r", "\x0b"])
def test_a_text_takes_no_control_characters(char: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_text(f"Hello{char}there", field="content", what="message")
    assert refused.value.fields == {"content": "contains control characters"}
    assert refused.value.detail == "The message contains control characters."


@pytest.mark.parametrize(
    "text", ["", "two\nlines\tand a tab", "नमस्ते 👩‍👩‍👧", "\u200bnot only that"]
)
def test_a_text_stays_as_it_was_typed(text: str) -> None:
    assert check_text(text, field="content", what="message") == text


def test_line_breaks_become_one_kind() -> None:
    assert check_text("a\r\nb", field="content", what="message") == "a\nb"


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x7f", "\ud800"])
@pytest.mark.parametrize("least", [0, 1])
def test_a_line_takes_no_control_characters(char: str, least: int) -> None:
    for text in (char, f"Front{char}desk"):
        with pytest.raises(InvalidInput) as refused:
            clean_line(text, field="label", what="label", least=least, most=10)
        assert "printable characters" in refused.value.fields["label"]


@pytest.mark.parametrize(
    ("text", "least", "line"),
    [("  Front \n desk\t", 1, "Front desk"), ("", 0, ""), ("\u200b \u2060", 0, "")],
)
def test_a_line_is_tidied(text: str, least: int, line: str) -> None:
    assert clean_line(text, field="name", what="name", least=least, most=10) == line


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u200d", "01234567890"])
def test_a_line_that_is_needed_is_neither_empty_nor_too_long(text: str) -> None:
    with pytest.raises(InvalidInput, match="needs 1 to 10 printable"):
        clean_line(text, field="name", what="name", most=10)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\u200b", "\ufeff\u2060", "\u3164", "\u2800", "\ufe0f"]
)
def test_what_cannot_be_seen_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["x", "\u200bx", "👍", "।", "☎\ufe0f"])
def test_what_can_be_seen_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short enough", "short enough"),
        ("one two three four", "one two…"),
        ("one two thr four", "one two thr…"),
        ("a " + "\u4f60" * 40, "a " + "\u4f60" * 28 + "…"),
        ("x" * 40, "x" * 30 + "…"),
    ],
    ids=["all of it", "between words", "at a space", "without spaces", "one word"],
)
def test_the_beginning_of_a_text_ends_at_a_space_only_where_one_is_near(
    text: str, shown: str
) -> None:
    most = 12 if len(text) < 20 else 31
    found = beginning(text, most)
    assert found == shown
    assert len(found) <= most
