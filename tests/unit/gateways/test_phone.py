import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.errors import InvalidInput
from groupline.gateways.phone import display_phone, mask_phone, normalise_phone, phone_or_none


@pytest.mark.parametrize(
    "spelling",
    [
        "919876543210",
        "+919876543210",
        "+91 98765 43210",
        "  +91-98765-43210 ",
        "00919876543210",
        "919876543210:12@s.whatsapp.net",
        "919876543210@s.whatsapp.net",
        "919876543210@c.us",
        "919876543210_1:7@s.whatsapp.net",
        "919876543210:3",
        "\u202a+91 98765\u00a043210\u202c",
        "+९१ ९८७६५ ४३२१०",
        "+91 098765 43210",
    ],
)
def test_every_spelling_of_a_number_is_one_number(spelling: str) -> None:
    assert normalise_phone(spelling) == "919876543210"


def test_the_one_that_whatsapp_keeps_in_mexican_numbers_is_dropped() -> None:
    assert normalise_phone("5215512345678@s.whatsapp.net") == normalise_phone("+52 55 1234 5678")


def test_a_leading_zero_that_belongs_to_the_number_stays() -> None:
    assert normalise_phone("+39 06 1234 5678") == "390612345678"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no digits"),
        ("+", "no digits"),
        ("+91 12345", "too short"),
        ("+91 98765 43210 98765", "too long"),
        ("+999 123456", "country code"),
        ("98765 43210 abc", "not a digit"),
        ("91+9876543210", "not a digit"),
        ("184512345678901@lid", "not a phone number"),
        ("120363041234567890@g.us", "not a phone number"),
    ],
)
def test_what_is_no_phone_number_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normalise_phone(text)
    assert reason in refused.value.fields["phone"]
    assert refused.value.hint is not None


def test_a_refusal_does_not_repeat_the_number() -> None:
    with pytest.raises(InvalidInput) as refused:
        normalise_phone("+91 22334 45566 77889")
    assert "22334" not in str(refused.value.problem())


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_is_refused(text: str) -> None:
    try:
        digits = normalise_phone(text)
    except InvalidInput:
        return
    assert digits.isascii()
    assert digits.isdigit()
    assert normalise_phone(digits) == digits


@pytest.mark.parametrize("value", [None, True, [], {}, -1, 1.5, 10**40, "", "x"])
def test_what_a_gateway_sends_instead_of_a_phone_is_none(value: object) -> None:
    assert phone_or_none(value) is None


def test_a_gateway_may_send_the_number_as_a_number() -> None:
    assert phone_or_none(919876543210) == "919876543210"


def test_a_number_is_shown_as_people_write_it() -> None:
    assert display_phone("919876543210") == "+91 98765 43210"


def test_what_cannot_be_parsed_is_shown_as_it_is() -> None:
    assert display_phone("999") == "+999"


def test_a_masked_number_keeps_country_two_digits_and_the_last_three() -> None:
    assert mask_phone("919876543210") == "+91 98••• ••210"


@given(st.text("0123456789", min_size=9, max_size=15))
def test_a_masked_number_never_shows_it_all(digits: str) -> None:
    assert "•" in mask_phone(digits)
    assert digits not in "".join(c for c in mask_phone(digits) if c.isdigit())
