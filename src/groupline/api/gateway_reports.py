"""Reports of a gateway that could not be placed, for administrators of the installation."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from groupline.chronicle.unplaced import Outcome, Whose, count_waiting, unplaced_reports
from groupline.gateways.service import get_gateway
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import ApiModel, Cursor, Limit, Listing, encode_cursor, uuid_cursor
from groupline.models import InboundKind
from groupline.orgs.rules import Permission, Principal

router = APIRouter(prefix="/gateways", tags=["gateways"])

Administrator = Annotated[Principal, Depends(allowed(Permission.INSTALLATION))]


class UnplacedReportOut(ApiModel):
    id: UUID
    outcome: Outcome
    kind: InboundKind
    title: str = Field(description="What it says, for people", examples=["A message was sent"])
    received_at: datetime
    occurred_at: datetime | None = Field(description="Its own time, if it named one")
    tries: int
    next_try_at: datetime | None = Field(description="Of one that waits")
    error: str | None = Field(description="What went wrong here when it was applied")
    gateway_session_id: str | None = Field(description="Not of a session of another organization")
    session: Whose = Field(
        description="The session that it names: of this organization, of another one, known"
        " nowhere here, or unnamed. Only of `own` ones more than the kind is shown"
    )
    words: str | None = Field(description="The gateway's own, without phone numbers in full")
    message_id: str | None
    group_jid: str | None
    group_id: UUID | None
    group_name: str | None


class UnplacedReports(Listing[UnplacedReportOut]):
    waiting: int = Field(description="How many fit nothing yet, and are tried again for a day")


@router.get("/{gateway_id}/reports", summary="List the reports that could not be placed")
async def reports(
    *,
    runtime: CurrentRuntime,
    admin: Administrator,
    gateway_id: UUID,
    outcome: Annotated[
        Outcome | None, Query(description="Without it: all but those that wait")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> UnplacedReports:
    """Newest first. A page looks through a part of what the gateways reported: it may have fewer
    items than asked for, or none, and `nextCursor` all the same."""
    before = uuid_cursor(cursor)
    async with runtime.database.reading() as session:
        await get_gateway(session, gateway_id)
        page = await unplaced_reports(
            session,
            admin.organization_id,
            gateway_id,
            outcome=outcome,
            before=before,
            limit=limit,
        )
        waiting = await count_waiting(session, gateway_id)
    return UnplacedReports(
        items=[UnplacedReportOut.model_validate(each) for each in page.items],
        next_cursor=None if page.next_before is None else encode_cursor(str(page.next_before)),
        waiting=waiting,
    )
