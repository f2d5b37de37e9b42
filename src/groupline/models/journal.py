"""The append-only account of what happened."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from groupline.ids import new_id
from groupline.models.base import Base, one_of

ActorKind = Literal["user", "api_key", "system", "gateway"]

QUIET: Final = "action NOT LIKE 'message.%'"
"""What is rare beside messages, and would else be looked for among millions of them."""

SOMEBODY: Final = "actor_id IS NOT NULL"
"""What Groupline does by itself is most of it, and nobody looks for it by who did it."""

# Only this type is a growing row id on SQLite.
_Position = BigInteger().with_variant(Integer, "sqlite")


class JournalEntry(Base):
    """``(transaction_id, position)`` is the order in which readers may follow without a gap.

    Positions alone are not: on PostgreSQL a transaction that took a lower one can commit later.
    On SQLite, with its one writer, the position is enough and the transaction is 0.
    """

    __tablename__ = "journal"
    __table_args__ = (
        UniqueConstraint("id"),
        Index("ix_journal_order", "transaction_id", "position"),
        Index("ix_journal_organization", "organization_id", "position"),
        Index("ix_journal_subject", "organization_id", "subject_id", "position"),
        Index("ix_journal_at", "at"),
        Index(
            "ix_journal_quiet",
            "organization_id",
            "position",
            sqlite_where=text(QUIET),
            postgresql_where=text(QUIET),
        ),
        Index(
            "ix_journal_actor",
            *("organization_id", "actor_id", "actor_kind", "position"),
            sqlite_where=text(SOMEBODY),
            postgresql_where=text(SOMEBODY),
        ),
        one_of("actor_kind", ActorKind),
        {"sqlite_autoincrement": True},
    )

    position: Mapped[int] = mapped_column(_Position, primary_key=True)
    transaction_id: Mapped[int] = mapped_column(BigInteger)
    id: Mapped[UUID] = mapped_column(Uuid, default=new_id)
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id"))
    at: Mapped[datetime]
    actor_kind: Mapped[ActorKind]
    actor_id: Mapped[str | None]
    actor_label: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    subject_id: Mapped[UUID | None]
    data: Mapped[dict[str, Any]]


class JournalReader(Base):
    """How far a reader has come."""

    __tablename__ = "journal_readers"

    name: Mapped[str] = mapped_column(primary_key=True)
    transaction_id: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(BigInteger)
