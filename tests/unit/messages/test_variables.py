r"""What is a variable, what is a mistake, and what is a brace."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.messages.variables import (
    MAX_NAME,
    escape,
    fill,
    is_name,
    plain,
    scan,
    suggest,
)

TEXTS = st.text(st.sampled_from("ab_1 {}\\\n$A"), max_size=40)
"""Mostly what the grammar is about."""
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Hello", ()),
        ("Hello {first_name}", ("first_name",)),
        ("{b} and {a} and {b}", ("b", "a")),
        ("{a}{b2}", ("a", "b2")),
        (r"\{a\} and \\{b}", ("b",)),
        (r"C:\{a}", ()),
        ("{" + "n" * MAX_NAME + "}", ("n" * MAX_NAME,)),
    ],
)
def test_variables(text: str, names: tuple[str, ...]) -> None:
    assert scan(text).names == names


@pytest.mark.parametrize(
    ("text", "kind", "offending", "meant"),
    [
        ("Go to {zoom link} now", "spaces", "{zoom link}", "zoom_link"),
        ("{ zoom_link }", "spaces", "{ zoom_link }", "zoom_link"),
        ("{zoom\u00a0link}", "spaces", "{zoom\u00a0link}", "zoom_link"),
        ("Go to {{zoom}} now", "double_braces", "{{zoom}}", "zoom"),
        ("{{zoom}", "double_braces", "{{zoom}", "zoom"),
        ("{{{zoom}}}", "double_braces", "{{{zoom}}}", "zoom"),
        ("{Zoom_Link}", "case", "{Zoom_Link}", "zoom_link"),
        ("{ZOOM}", "case", "{ZOOM}", "zoom"),
        ("{zoom-link}", "characters", "{zoom-link}", "zoom_link"),
        ("{webinar.link}", "characters", "{webinar.link}", "webinar_link"),
        ("{1st}", "characters", "{1st}", None),
        ("{événement}", "characters", "{événement}", None),
        ("{zoom\u200b_link}", "unseen", "{zoom\u200b_link}", "zoom_link"),
        ("{" + "n" * (MAX_NAME + 1) + "}", "too_long", "{" + "n" * (MAX_NAME + 1) + "}", None),
        ("{}", "empty", "{}", None),
        ("{ }", "empty", "{ }", None),
        ("Join {zoom_link", "unclosed", "{zoom_link", "zoom_link"),
        ("Join {zoom_link\nnow}", "unclosed", "{zoom_link", "zoom_link"),
        (r"Join {zoom_link\}", "unclosed", "{zoom_link", "zoom_link"),
        ("smile :{ please", "unclosed", "{", None),
        ("Join zoom_link} now", "unopened", "}", None),
        ("{zoom}}", "unopened", "}", None),
        ('{"x": 1}', "spaces", '{"x": 1}', None),
    ],
)
def test_mistakes_are_found_with_what_was_meant(
    text: str, kind: str, offending: str, meant: str | None
) -> None:
    first = scan(text).problems[0]

    assert (first.kind, first.text, first.suggestion) == (kind, offending, meant)
    assert text[first.start : first.end] == offending
    assert offending[:30] in first.sentence
    assert (f"Write {{{meant}}}" if meant else r"write \{") in first.sentence


def test_a_mistake_says_where_it_is() -> None:
    first, second = scan("Hello {A}\n\nJoin {a b}").problems
    assert (first.line, first.column) == (1, 7)
    assert (second.line, second.column) == (3, 6)


def test_a_text_with_a_mistake_in_each_line_names_them_all() -> None:
    assert [each.text for each in scan("{a b}\n{{c}}\n{D}\n{e").problems] == [
        "{a b}",
        "{{c}}",
        "{D}",
        "{e",
    ]


def test_values_go_in_as_they_are() -> None:
    filled = fill("See {link} at {time}", {"link": r"{time} \{x} {{y}}", "time": "7"})
    assert filled.unresolved == ()
    assert plain(filled.text) == r"See {time} \{x} {{y}} at 7"


def test_what_has_no_value_stays_and_is_named_as_it_stands() -> None:
    filled = fill(r"\{ok\} {a} {b} {B} {a}", {"a": "1"})
    assert filled.missing == ("b",)
    assert filled.unresolved == ("{b}", "{B}")
    assert plain(filled.text) == "{ok} 1 {b} {B} 1"


def test_an_empty_value_is_a_value() -> None:
    assert fill("a{x}b", {"x": ""}).text == "ab"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (r"\{a\}", "{a}"),
        (r"\\\{", r"\{"),
        (r"¯\_(ツ)_/¯ C:\new\\dir", r"¯\_(ツ)_/¯ C:\new\\dir"),
        (r"\\{a}", r"\{a}"),
        ("{a b}", "{a b}"),
        (r"{{a\{", "{{a{"),
    ],
)
def test_what_a_reader_sees(text: str, seen: str) -> None:
    assert plain(text) == seen


def test_a_backslash_before_a_value_that_begins_with_a_brace_is_kept() -> None:
    filled = fill(r"\\{a}", {"a": "{b}"})
    assert plain(filled.text) == r"\{b}"
    assert scan(filled.text).is_clean


@given(st.text() | TEXTS)
def test_escaped_text_is_clean_and_reads_as_before(text: str) -> None:
    assert scan(escape(text)).is_clean
    assert plain(escape(text)) == text


@given(TEXTS)
def test_a_clean_text_has_no_brace_that_was_not_escaped(text: str) -> None:
    if scan(text).is_clean:
        assert re.search(r"(?<!\\)(\\\\)*[{}]", text) is None
        assert escape(plain(text)) == text


@given(TEXTS, st.text(max_size=10) | TEXTS)
def test_a_text_with_every_value_is_clean_if_and_only_if_it_had_no_mistake(
    text: str, value: str
) -> None:
    found = scan(text)
    filled = fill(text, dict.fromkeys(found.names, value))

    assert filled.missing == ()
    assert filled.problems == found.problems
    assert scan(filled.text).is_clean is (not found.problems)


@given(st.lists(TEXTS.map(escape) | NAMES.map(lambda name: f"{{{name}}}")), TEXTS)
def test_filled_text_reads_as_its_parts(parts: list[str], value: str) -> None:
    text = "".join(parts)
    found = scan(text)
    if found.problems:  # an escaped text that ends in a backslash changes the variable behind it
        return
    filled = fill(text, dict.fromkeys(found.names, value))
    assert scan(filled.text).is_clean
    if not any(part.endswith("\\") for part in parts):
        seen = (value if part[:1] == "{" else plain(part) for part in parts)
        assert plain(filled.text) == "".join(seen)


@given(TEXTS)
def test_filling_nothing_changes_nothing_that_is_read(text: str) -> None:
    filled = fill(text, {})
    assert plain(filled.text) == plain(text)
    assert scan(filled.text).names == scan(text).names
    assert fill(filled.text, {}).unresolved == filled.unresolved


@given(TEXTS)
def test_positions_are_those_of_the_text(text: str) -> None:
    for problem in scan(text).problems:
        assert text[problem.start : problem.end] == problem.text != ""
        assert text.split("\n")[problem.line - 1][problem.column - 1 :].startswith(problem.text)


@pytest.mark.parametrize("odd", ["\\", "{", "}", "{a", "\\{", "{{a", "a}\n"])
def test_long_odd_texts_are_read_in_no_time(odd: str) -> None:
    text = odd * (65_536 // len(odd))
    before = time.thread_time()
    scan(text)
    plain(text)
    escape(text)
    assert time.thread_time() - before < 5


def test_the_nearest_known_name_is_suggested() -> None:
    known = ["event_title", "event_time", "zoom_link"]
    assert suggest("event_titel", known) == "event_title"
    assert suggest("zoomlink", known) == "zoom_link"
    assert suggest("price", known) is None


@pytest.mark.parametrize(
    ("text", "good"), [("a", True), ("a_1", True), ("_a", False), ("1a", False), ("", False)]
)
def test_names(text: str, good: bool) -> None:
    assert is_name(text) is good
