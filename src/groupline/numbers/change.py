"""Changing a number: its name, its pace, its standby, a pause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.errors import InvalidInput, NotFound
from groupline.journal import Actor
from groupline.models import WhatsappNumber
from groupline.numbers import queries
from groupline.numbers.account import record_of_number
from groupline.numbers.pause import record_pause, record_resume
from groupline.text import clean_line


class Unset(Enum):
    """What is not named stays as it is; `None` empties it."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class NumberChange:
    display_name: str | Unset | None = UNSET
    pace_seconds: float | Unset | None = UNSET
    standby_number_id: UUID | Unset | None = UNSET
    paused: bool | Unset | None = UNSET


async def change_number(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID,
    change: NumberChange,
    *,
    actor: Actor,
    now: datetime,
) -> WhatsappNumber:
    """Changes what is named, in the caller's transaction."""
    # Of two who do the same at one moment, the second changes nothing, and nothing is told of it.
    number = await queries.get_number(session, organization_id, number_id, for_change=True)
    before = _facts(number)
    if not isinstance(change.display_name, Unset):
        number.display_name = _name(change.display_name)
    if not isinstance(change.pace_seconds, Unset):
        number.pace_seconds = _pace(change.pace_seconds)
    if not isinstance(change.standby_number_id, Unset):
        number.standby_number_id = await _standby(session, number, change.standby_number_id)
    paused_before = number.paused_at
    if not isinstance(change.paused, Unset):
        number.paused_at = (paused_before or now) if change.paused else None
    await session.flush()
    after = _facts(number)
    changed = {name: value for name, value in after.items() if before[name] != value}
    if changed:
        await record_of_number(session, number, "number.changed", changed, actor=actor, now=now)
    if paused_before is None and number.paused_at is not None:
        await record_pause(session, number, actor=actor, now=now)
    elif paused_before is not None and number.paused_at is None:
        await record_resume(session, number, paused_before, actor=actor, now=now)
    if changed or paused_before != number.paused_at:
        await _tell(session, number)
    return number


def _facts(number: WhatsappNumber) -> dict[str, object]:
    standby = number.standby_number_id
    return {
        "displayName": number.display_name,
        "paceSeconds": number.pace_seconds,
        "standbyNumberId": None if standby is None else str(standby),
    }


def _name(name: str | None) -> str | None:
    return clean_line(name or "", field="displayName", what="name", least=0, most=80) or None


def _pace(seconds: float | None) -> float:
    if seconds is None or not 0 <= seconds <= 3600:
        raise InvalidInput(
            "The pace is out of range.", fields={"paceSeconds": "between 0 and 3600 seconds"}
        )
    return seconds


async def _standby(
    session: AsyncSession, number: WhatsappNumber, standby_id: UUID | None
) -> UUID | None:
    if standby_id is None:
        return None
    if standby_id == number.id:
        raise InvalidInput(
            "A number cannot stand in for itself.",
            fields={"standbyNumberId": "must be another number"},
        )
    try:
        return (await queries.get_number(session, number.organization_id, standby_id)).id
    except NotFound as error:
        raise InvalidInput(
            "There is no such standby number.", fields={"standbyNumberId": "is not known"}
        ) from error


async def _tell(session: AsyncSession, number: WhatsappNumber) -> None:
    organization_id = number.organization_id
    await announce(session, "numbers", organization_id=organization_id, subject_id=number.id)
    await announce(session, "messages", organization_id=organization_id, subject_id=None)
