"""What addresses and forms say, read without trust."""

from uuid import UUID


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def count_or_zero(text: str) -> int:
    """Of a field that takes a small count of at least one: 0 is refused like what is no count."""
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 8 else 0
