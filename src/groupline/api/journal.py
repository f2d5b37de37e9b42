"""The journal: who did what."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from groupline.chronicle import queries
from groupline.chronicle.schemas import EntryView, Filter
from groupline.chronicle.sentences import SECTIONS
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import (
    ApiModel,
    Cursor,
    Limit,
    Listing,
    Moment,
    encode_cursor,
    in_zone,
    position_cursor,
)
from groupline.models import ActorKind
from groupline.orgs.rules import Permission, Principal

router = APIRouter(prefix="/journal", tags=["organization"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Section = StrEnum("Section", list(SECTIONS))  # type: ignore[misc]  # the keys of one table


class ActorOut(ApiModel):
    kind: ActorKind
    id: str | None
    name: str = Field(examples=["Asha"])


class SubjectOut(ApiModel):
    kind: str = Field(examples=["number"])
    id: UUID | None
    name: str


class JournalEntryOut(ApiModel):
    id: UUID
    at: datetime
    action: str = Field(examples=["number.disconnected"])
    sentence: str = Field(description="The same for people")
    actor: ActorOut
    subject: SubjectOut
    data: dict[str, Any] = Field(
        description="Facts, by action; without secrets, and with phone numbers masked"
    )


@router.get("", summary="Read the journal")
async def index(
    *,
    runtime: CurrentRuntime,
    principal: Reader,
    kind: Annotated[Section | None, Query(description="A kind of action")] = None,
    action: Annotated[str | None, Query(max_length=100, description="One action")] = None,
    actor_kind: Annotated[ActorKind | None, Query(alias="actorKind")] = None,
    actor_id: Annotated[str | None, Query(alias="actorId", max_length=100)] = None,
    subject_id: Annotated[UUID | None, Query(alias="subjectId")] = None,
    since: Annotated[Moment | None, Query(description="From this time on")] = None,
    until: Annotated[Moment | None, Query(description="Before this time")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Listing[JournalEntryOut]:
    """Newest first."""
    asked = Filter(
        section=None if kind is None else kind.value,
        action=action,
        actor_kind=actor_kind,
        actor_id=actor_id,
        subject_id=subject_id,
        since=None if since is None else in_zone(since, principal.timezone),
        until=None if until is None else in_zone(until, principal.timezone),
    )
    before = position_cursor(cursor)
    async with runtime.database.reading() as session:
        found = await queries.entries(
            session, principal.organization_id, asked, before=before, limit=limit + 1
        )
    shown = found[:limit]
    return Listing(
        items=[_out(each) for each in shown],
        next_cursor=encode_cursor(shown[-1].position) if len(found) > limit else None,
    )


def _out(entry: EntryView) -> JournalEntryOut:
    return JournalEntryOut(
        id=entry.id,
        at=entry.at,
        action=entry.action,
        sentence=entry.sentence,
        actor=ActorOut(kind=entry.actor_kind, id=entry.actor_id, name=entry.actor),
        subject=SubjectOut(kind=entry.subject_kind, id=entry.subject_id, name=entry.subject),
        data=dict(entry.data),
    )
