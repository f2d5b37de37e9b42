"""What addresses and forms say, read without trust."""

from uuid import UUID


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
