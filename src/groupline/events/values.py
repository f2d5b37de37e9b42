"""The values that an event gives to the variables of its texts. They are kept, and reused."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Table, delete, insert
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import InvalidInput
from groupline.events.queries import get_event, lock_event
from groupline.events.rules import check_planned, check_values
from groupline.events.schemas import MAX_VALUE, MAX_VARIABLES
from groupline.events.telling import tell
from groupline.events.variables import BUILTIN
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.messages.variables import is_name
from groupline.models import EventKind, EventVariable
from groupline.text import check_text

VARIABLES: Final[Table] = EventVariable.__table__  # type: ignore[assignment]


async def set_values(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    values: Mapping[str, str],
    *,
    kind: EventKind | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    """Makes these the values of the event. One that is left empty counts as none."""
    await lock_event(session, organization_id, event_id, kind)
    event = await get_event(session, organization_id, event_id, now=now)
    check_planned(event.kind, event.status)
    given = _checked(values)
    if given == event.values:
        return
    await session.execute(
        delete(VARIABLES).where(
            VARIABLES.c.organization_id == organization_id, VARIABLES.c.event_id == event_id
        )
    )
    own = {"organization_id": organization_id, "event_id": event_id, "updated_at": now}
    rows = [{"id": new_id(), **own, "key": name, "value": value} for name, value in given.items()]
    if rows:
        await session.execute(insert(VARIABLES), rows)
    changed = sorted(
        name for name in {**given, **event.values} if given.get(name) != event.values.get(name)
    )
    await tell(
        session,
        "event.variables_changed",
        organization_id=organization_id,
        event_id=event_id,
        data={"variables": changed},
        actor=actor,
        now=now,
    )


def _checked(values: Mapping[str, str]) -> dict[str, str]:
    if len(values) > MAX_VARIABLES:
        raise InvalidInput("Too many variables.", fields={"values": f"at most {MAX_VARIABLES}"})
    wrong = {
        name: "is no name for a variable: small letters, digits and _"
        for name in values
        if not is_name(name)
    } | {
        name: f"takes at most {MAX_VALUE:,} characters"
        for name, value in values.items()
        if len(value) > MAX_VALUE
    }
    if wrong:
        name, why = next(iter(wrong.items()))
        raise InvalidInput(f"{{{name}}} {why}.", fields=wrong)
    check_values(values, BUILTIN)
    lines = {
        name: check_text(value, field=name, what=f"value of {{{name}}}")
        for name, value in sorted(values.items())
    }
    return {name: text for name, text in lines.items() if text.strip()}
