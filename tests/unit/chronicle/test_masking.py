"""No secret and no full phone number is shown, whatever an entry holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.chronicle.export import safe_cell
from groupline.chronicle.masking import masked, masked_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("919876543210 is gone", "9198•••••210 is gone"),
        ("+919876543210", "+9198•••••210"),
        ("+91 98765 43210 said so", "+91 98••• ••210 said so"),
        ("call (+49 151 2345678)!", "call (+49 15• ••••678)!"),
        ("12 messages at 19:00", "12 messages at 19:00"),
        ("120363000000000001@g.us", "120363000000000001@g.us"),
        ("2026-03-02T12:00:00+00:00", "2026-03-02T12:00:00+00:00"),
    ],
)
def test_phone_numbers_are_masked(text: str, shown: str) -> None:
    assert masked_text(text) == shown


def test_secrets_are_left_out_in_any_depth() -> None:
    data = {"name": "VPS", "apiKey": "k", "more": [{"webhook_secret": "s", "count": 1}]}
    assert masked(data) == {"name": "VPS", "more": [{"count": 1}]}


@given(st.from_regex(r"[1-9][0-9]{10,14}", fullmatch=True))
def test_no_full_number_is_left(digits: str) -> None:
    shown = str(masked({"detail": f"{digits} and +{digits}"}))
    assert digits not in shown


@given(st.text())
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert not safe_cell(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
