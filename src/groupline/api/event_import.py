"""Workshops and webinars as a table: looked at first, then planned."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.events.import_run import Imported, look, take
from groupline.events.imports import MAX_EVENTS, FoundEvent
from groupline.events.tables import MAX_BYTES
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import ApiModel, problems
from groupline.models import EventKind, EventStatus
from groupline.orgs.rules import Permission, Principal

Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]

_EXAMPLE = "title,starts,zoom_link\nPottery,2026-03-04 19:00,https://example.org/zoom"


class ImportIn(ApiModel):
    """CSV with commas, semicolons or tabs; the first line names the columns."""

    csv: str = Field(
        max_length=MAX_BYTES,
        description="`title`, `starts`, `ends`, `timezone`, `number`, `sequence`, `groups` (with "
        f"`|` between them); any other column is a variable. At most {MAX_EVENTS} lines",
        examples=[_EXAMPLE],
    )
    again: bool = Field(False, description="Also plan what is there already once more")
    dry_run: bool = Field(True, description="Only say what the table says")


class FoundOut(ApiModel):
    line: int
    title: str
    starts_at: str = Field(description="In the zone of the event")
    ends_at: str | None
    timezone: str
    number_id: UUID | None
    sequence_id: UUID | None
    group_ids: list[UUID]
    variables: dict[str, str]
    notes: list[str] = Field(description="What a change of the clocks does to its times")
    already_there: str | None = Field(description="Why it is left out unless `again` is set")
    event_id: UUID | None = Field(description="Of the event that is there already")
    event_status: EventStatus | None


class MistakeOut(ApiModel):
    line: int
    why: str


class ImportOut(ApiModel):
    events: list[FoundOut] = Field(description="What the table says")
    mistakes: list[MistakeOut] = Field(
        description="Lines that cannot be taken: with one of them nothing is planned"
    )
    planned: int = Field(description="How many are planned, or would be")
    skipped: int = Field(description="How many are left out, as they are there already")
    ids: list[UUID] = Field(description="Of the events that were planned")
    committed: bool


def add_import(router: APIRouter, kind: EventKind) -> None:
    @router.post(
        "/import",
        summary=f"Plan the {kind}s of a table",
        response_model=ImportOut,
        responses=problems(409, 422),
    )
    async def import_table(
        runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, body: ImportIn
    ) -> Response:
        """All or none. Rows with the title and the start of one that is there are left out."""
        own: dict[str, Any] = {"timezone": operator.timezone, "now": runtime.clock.now()}

        async def effect(session: AsyncSession) -> ImportOut:
            if body.dry_run:
                found = await look(session, operator.organization_id, kind, body.csv, **own)
                return _out(Imported(found, (), body.again, committed=False))
            taken = await take(
                session,
                operator.organization_id,
                kind,
                body.csv,
                again=body.again,
                actor=operator.actor,
                **own,
            )
            return _out(taken)

        return await once.in_transaction(operator, effect)


def _out(imported: Imported) -> ImportOut:
    found = imported.found
    return ImportOut(
        events=[_found_out(each) for each in found.events],
        mistakes=[MistakeOut.model_validate(each) for each in found.mistakes],
        planned=imported.planned,
        skipped=imported.skipped,
        ids=list(imported.ids),
        committed=imported.committed,
    )


def _found_out(each: FoundEvent) -> FoundOut:
    event, zone = each.event, each.event.zone
    ends = event.ends_at
    return FoundOut(
        line=each.line,
        title=event.title,
        starts_at=event.starts_at.astimezone(zone).isoformat(),
        ends_at=None if ends is None else ends.astimezone(zone).isoformat(),
        timezone=event.timezone,
        number_id=event.number_id,
        sequence_id=event.sequence_id,
        group_ids=[group.id for group in each.groups],
        variables=dict(each.values),
        notes=list(each.notes),
        already_there=each.already_there,
        event_id=each.present.id if each.present else None,
        event_status=each.present.status if each.present else None,
    )
