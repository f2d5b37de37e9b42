"""What requests with an ``Idempotency-Key`` answered."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.ids import new_id
from groupline.models import IdempotencyKey

_ABANDONED_AFTER: Final = timedelta(minutes=5)


async def claim(
    session: AsyncSession,
    organization_id: UUID,
    *,
    key: str,
    request_hash: str,
    now: datetime,
) -> UUID | None:
    """The row of a key that is new, or ``None`` if it is taken.

    If another transaction is about to take it, this waits for how that one ends.
    """
    await _drop_abandoned(session, organization_id, key, now - _ABANDONED_AFTER)
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    insert: Any = postgresql.insert if is_postgresql else sqlite.insert
    statement = (
        insert(IdempotencyKey)
        .values(
            id=new_id(),
            organization_id=organization_id,
            key=key,
            request_hash=request_hash,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["organization_id", "key"])
        .returning(IdempotencyKey.id)
    )
    row: UUID | None = await session.scalar(statement)
    return row


async def _drop_abandoned(
    session: AsyncSession, organization_id: UUID, key: str, before: datetime
) -> None:
    """A process that died at work left its key without an answer."""
    await session.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.organization_id == organization_id,
            IdempotencyKey.key == key,
            IdempotencyKey.status_code.is_(None),
            IdempotencyKey.created_at < before,
        )
    )


async def find(session: AsyncSession, organization_id: UUID, key: str) -> IdempotencyKey | None:
    return await session.scalar(
        select(IdempotencyKey).where(
            IdempotencyKey.organization_id == organization_id, IdempotencyKey.key == key
        )
    )


async def store(
    session: AsyncSession, row_id: UUID, *, status_code: int, response_body: str
) -> None:
    await session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.id == row_id)
        .values(status_code=status_code, response_body=response_body)
    )


async def give_back(session: AsyncSession, row_id: UUID) -> None:
    """The request was refused: it may come again."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.id == row_id))
