"""Phone numbers: one spelling for one number, and two ways to show it."""

from __future__ import annotations

import re
import unicodedata
from typing import Never

import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult

from groupline.errors import InvalidInput

_USER_SUFFIXES = ("@s.whatsapp.net", "@c.us")
_DEVICE = re.compile(r"(?:_\d+)?:\d+$")  # 919876543210:12, 919876543210_1:12
_PUNCTUATION = frozenset("-()./")
_MEXICO_WITH_MOBILE_ONE = re.compile(r"521\d{10}")

_REASONS = {
    ValidationResult.INVALID_COUNTRY_CODE: "does not begin with a country code",
    ValidationResult.TOO_SHORT: "is too short",
    ValidationResult.TOO_LONG: "is too long",
    ValidationResult.INVALID_LENGTH: "has a length that its country does not use",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its country or area code",
}


def normalise_phone(text: str) -> str:
    """E.164 digits, without plus and device part. Raises `InvalidInput` with the reason.

    The length and the country code are checked, not whether the number range has been given
    out: WhatsApp has verified the numbers that it reports, and a table of ranges ages.
    """
    digits = _digits(_without_device(text.strip()))
    if _MEXICO_WITH_MOBILE_ONE.fullmatch(digits):
        # WhatsApp keeps the 1 that Mexico dropped from its mobile numbers in 2019.
        digits = "52" + digits[3:]
    try:
        number = phonenumbers.parse("+" + digits, None)
    except phonenumbers.NumberParseException as error:
        _refuse("does not begin with a known country code", error)
    verdict = phonenumbers.is_possible_number_with_reason(number)
    if verdict != ValidationResult.IS_POSSIBLE:
        _refuse(_REASONS.get(verdict, "is not a phone number"))
    return f"{number.country_code}{phonenumbers.national_significant_number(number)}"


def phone_or_none(text: object) -> str | None:
    """The same for what a gateway sent: None for what is no phone."""
    if isinstance(text, int) and not isinstance(text, bool) and 0 < text < 10**16:
        text = str(text)
    if not isinstance(text, str):
        return None
    try:
        return normalise_phone(text)
    except InvalidInput:
        return None


def display_phone(digits: str) -> str:
    """`+91 98765 43210`; what cannot be parsed is shown with a plus, as it is."""
    try:
        number = phonenumbers.parse("+" + digits, None)
    except phonenumbers.NumberParseException:
        return "+" + digits
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def mask_phone(digits: str) -> str:
    """`+91 98••• ••210`, for logs: the country, two digits and the last three."""
    shown = display_phone(digits)
    country, space, national = shown.partition(" ")
    if not space:
        country, national = shown[:3], shown[3:]
    count = sum(char.isdigit() for char in national)
    masked, seen = [], 0
    for char in national:
        seen += char.isdigit()
        hidden = char.isdigit() and 2 < seen <= count - 3
        masked.append("•" if hidden else char)
    return country + space + "".join(masked)


def _without_device(text: str) -> str:
    lowered = text.lower()
    for suffix in _USER_SUFFIXES:
        if lowered.endswith(suffix):
            return _DEVICE.sub("", text[: -len(suffix)])
    if "@" in text:
        _refuse("is an identifier of WhatsApp that is not a phone number")
    return _DEVICE.sub("", text)


def _digits(text: str) -> str:
    """The digits; the marks that people and address books put between them are dropped."""
    digits = []
    for position, char in enumerate(char for char in text if not _is_blank(char)):
        if char.isdecimal():
            digits.append(str(unicodedata.decimal(char)))
        elif char not in _PUNCTUATION and (char, position) != ("+", 0):
            _refuse("contains something that is not a digit")
    joined = "".join(digits)
    if not joined:
        _refuse("contains no digits")
    return joined.removeprefix("00")


def _is_blank(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) == "Cf"


def _refuse(reason: str, cause: Exception | None = None) -> Never:
    raise InvalidInput(
        f"This phone number {reason}.",
        fields={"phone": reason},
        hint="Write it with its country code, e.g. +91 98765 43210.",
    ) from cause
