"""A message that goes back into the queue by a person's decision."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.ids import new_id
from groupline.messages.changes import MESSAGES, MessageRow

USEFUL_AGAIN_FOR: Final = timedelta(hours=1)
"""A message that is sent again after its time gets this much of it."""


async def requeue(session: AsyncSession, rows: Sequence[MessageRow], *, now: datetime) -> None:
    """Gives rows that were just made ``pending`` the time, and where needed the name, to go."""
    late = [row.id for row in rows if row.expires_at is not None and row.expires_at <= now]
    if late:
        await session.execute(
            update(MESSAGES)
            .where(MESSAGES.c.id.in_(late))
            .values(expires_at=now + USEFUL_AGAIN_FOR)
        )
    # A gateway that keeps our references answers one that it has sent with "sent already": what
    # WhatsApp rejected afterwards needs a new one. Everything else keeps its reference, which is
    # what makes a second copy impossible. The id at WhatsApp stays until the next claim: what is
    # told of the earlier attempt is found by it, and may say that it arrived.
    renamed = [
        {"message": row.id, "ref": f"{row.id}.{new_id().hex[-8:]}"}
        for row in rows
        if row.status == "failed" and row.message_id is not None
    ]
    if renamed:
        await session.execute(_RENAME, renamed)


_RENAME: Final = (
    update(MESSAGES)
    .where(MESSAGES.c.id == bindparam("message"))
    .values(client_ref=bindparam("ref"))
)
