import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateways.junk import JSON

from groupline.gateways.drivers.parsing import (
    NO_JSON,
    body_words,
    boolean,
    clean,
    count,
    error_text,
    identifier,
    moment,
    parse_json,
    redact,
    text,
)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b" null ", None),
        (b"", NO_JSON),
        (b"<html>", NO_JSON),
        (b'{"a": ', NO_JSON),
        (b"\xff\xfe", NO_JSON),
        (b"[" * 100_000, NO_JSON),
    ],
)
def test_a_body_is_json_or_not(body: bytes, value: object) -> None:
    assert parse_json(body) == value


def test_a_number_with_a_million_digits_is_read_without_effort() -> None:
    assert parse_json(b'{"size": ' + b"9" * 1_000_000 + b"}") == {"size": float("inf")}


@given(st.binary(max_size=200))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    parse_json(body)
    body_words(body)


@given(JSON)
def test_no_value_breaks_a_reader(value: object) -> None:
    for read in (text, identifier, boolean, count, moment, error_text):
        read(value)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"error": "no"}, "no"),
        ({"error": True, "message": ["no", "never"]}, "no"),
        ({"error": {"message": "no"}}, "no"),
        ({"response": {}, "message": "no"}, "no"),
        ({"error": True}, None),
        ({"error": ""}, None),
        ([], None),
    ],
)
def test_the_words_of_an_error(document: object, words: str | None) -> None:
    assert error_text(document) == words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><title>502 Bad\n Gateway</title>", "502 Bad Gateway"),
        (b"\n<h1>oops</h1>", "a web page"),
        (b"upstream\x00 timed out", "upstream timed out"),
        (b"", None),
    ],
)
def test_the_words_of_a_body_that_is_no_json(body: bytes, words: str | None) -> None:
    assert body_words(body) == words


def test_secrets_and_whole_phone_numbers_are_taken_out_of_texts() -> None:
    words = "key s3cr3t-key refused for +91 98765 43210 in 120363041234567890@g.us"
    assert redact(words, ["s3cr3t-key"]) == "key ••• refused for •••210 in 120363041234567890@g.us"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("bad text: bring a mat and water", "bad text: •••"),
        ("bad text: bring a mat and…", "bad text: •••"),
        ("bad text: brin…", "bad text: •••"),
        ("bad text: something else…", "bad text: something else…"),
        ("…", "…"),
    ],
)
def test_a_text_is_taken_out_as_the_line_that_it_became_also_where_it_was_cut(
    words: str, kept: str
) -> None:
    assert redact(words, ["bring a mat\nand  water\n"]) == kept


def test_what_is_no_text_is_not_taken_out() -> None:
    assert redact("not connected", ["", "not", " \n \n "]) == "not connected"


def test_an_id_that_would_have_to_be_changed_is_no_id() -> None:
    assert identifier(" 3EB0 ") == "3EB0"
    assert identifier("3EB0\x00") is None
    assert identifier("x" * 201) is None
    assert identifier(True) is None


@given(st.text(), st.integers(2, 50))
def test_a_clean_text_can_be_stored_and_is_bounded(value: str, limit: int) -> None:
    line = clean(value, limit)
    assert len(line) <= limit
    line.encode("utf-8")
    assert not any(ord(char) < 32 for char in line)
