"""What gateways say of a message, as it is kept: without what they repeat of it."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.gateways.drivers.parsing import MAX_DETAIL, clean, redact
from groupline.messages.changes import MESSAGES, MessageRow
from groupline.messages.variables import plain

_READ: Final = 4 * MAX_DETAIL
"""So much is looked at: a text is only found whole, or where the end is cut off."""


async def kept_words(
    session: AsyncSession, rows: Sequence[MessageRow], said: str | None
) -> str | None:
    """As of answers to sends: a line without the texts of the messages that it may be about, and
    without phone numbers in full. These may be in a text, which would then not be found."""
    if said is None:
        return None
    statement = select(MESSAGES.c.content).where(MESSAGES.c.id.in_([row.id for row in rows]))
    texts = [plain(content) for content in await session.scalars(statement)]
    texts.sort(key=len, reverse=True)  # one may be part of another
    return clean(redact(clean(said, _READ), texts), MAX_DETAIL)
