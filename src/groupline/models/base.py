"""What all tables share: names of constraints, column types, and the keys of a tenant's rows."""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from groupline.db.types import Json, UtcDateTime
from groupline.ids import new_id

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Tables have no relationships: every query is written out where it is used."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 - the shape SQLAlchemy asks for
        str: Text,
        Literal: Text,  # the words are held by CHECKs, see one_of()
        UUID: Uuid,
        datetime: UtcDateTime,
        dict[str, Any]: Json,
        list[str]: Json,
    }


class Identified(Base):
    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-2)


class OfOrganization(Identified):
    """A row of one organization. Put ``organization_key()`` into its table arguments."""

    __abstract__ = True

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), sort_order=-1)


def organization_key() -> UniqueConstraint:
    """What references within an organization point to."""
    return UniqueConstraint("organization_id", "id")


def within_organization(column: str, table: str) -> ForeignKeyConstraint:
    """A reference that cannot leave the organization; without a value it is not checked.

    No reference deletes or empties anything: what has a history is not deleted by a cascade.
    """
    return ForeignKeyConstraint(
        ["organization_id", column], [f"{table}.organization_id", f"{table}.id"]
    )


def one_of(column: str, vocabulary: Any, *, name: str | None = None) -> CheckConstraint:
    """The column holds one of the words of a ``Literal``, or nothing if it may."""
    words = ", ".join(f"'{word}'" for word in get_args(vocabulary))
    return CheckConstraint(f"{column} IN ({words})", name=name or column)


def check(name: str, condition: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name)
