"""What campaigns look like over the API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.api.local_times import TimeNotes
from groupline.api.messages import MessageOut
from groupline.campaigns import progress, queries
from groupline.campaigns.content import MAX_CONTENT
from groupline.campaigns.rules import CampaignAction
from groupline.campaigns.schemas import (
    DAY_MINUTES,
    MAX_DELAY_SECONDS,
    MAX_GROUPS,
    MAX_LATE_MINUTES,
    CampaignView,
    OnRefused,
)
from groupline.http.idempotency import Idempotency
from groupline.http.schemas import ApiModel, Moment
from groupline.messages import media
from groupline.messages.media import Media
from groupline.messages.schemas import RefusedGroup
from groupline.models import CampaignStatus, MediaType, MessageStatus
from groupline.orgs.rules import Principal
from groupline.runtime import Runtime

Delay = Annotated[float, Field(ge=0, le=MAX_DELAY_SECONDS)]
Late = Annotated[int, Field(ge=1, le=MAX_LATE_MINUTES)]
SKIP = "Leave out groups that cannot be written to, instead of refusing everything"


class CampaignIn(ApiModel):
    name: str = Field(examples=["Spring webinar, last call"])
    number_id: UUID
    group_ids: list[UUID] = Field(max_length=MAX_GROUPS)
    content: str = Field(
        "",
        max_length=MAX_CONTENT,
        description="May say `{group_name}` and `{organization}`",
        examples=["Hello {group_name}, we are live on Saturday."],
    )
    media_url: str | None = None
    media_type: MediaType | None = Field(None, description="Without it: by what the file is")
    delay_seconds: Delay = Field(
        1.0,
        description="Between two messages, counted from the start of a request; a gateway that "
        "takes longer is followed at once. The pace of the number holds too: the slower wins",
    )
    late_minutes: Late = Field(
        DAY_MINUTES, description="What has not left so long after its time expires"
    )
    scheduled_for: Moment | None = Field(None, description="Without it: when it is started")
    start: bool = Field(False, description="Write the messages too; needs the scope `send`")
    skip_refused: bool = Field(False, description=SKIP)


class CampaignPatch(ApiModel):
    """What is not named stays as it is."""

    name: str = ""
    number_id: UUID | None = None
    group_ids: list[UUID] | None = Field(None, max_length=MAX_GROUPS)
    content: str = Field("", max_length=MAX_CONTENT)
    media_url: str | None = None
    media_type: MediaType | None = None
    delay_seconds: Delay = 1.0
    late_minutes: Late = DAY_MINUTES
    scheduled_for: Moment | None = None
    skip_refused: bool = Field(False, description=SKIP)


class StartIn(ApiModel):
    skip_refused: bool = Field(False, description=SKIP)


class ResumeIn(ApiModel):
    extend: bool = Field(
        False,
        description="Give what is left, and what expired during the pause, `lateMinutes` from now",
    )


class RetryIn(ApiModel):
    number_id: UUID | None = Field(
        None, description="Send from this number, to the groups that it may write to"
    )
    include_expired: bool = False


class RefusedOut(ApiModel):
    id: UUID
    name: str | None
    code: str
    reason: str


class CampaignOut(ApiModel):
    id: UUID
    name: str
    status: CampaignStatus
    actions: list[CampaignAction] = Field(description="What can be done now")
    number_id: UUID
    phone_number: str
    content: str
    media_url: str | None
    media_type: MediaType | None
    delay_seconds: float
    late_minutes: int
    scheduled_for: datetime | None
    started_at: datetime | None
    paused_at: datetime | None
    finished_at: datetime | None
    groups: int = Field(description="To how many groups it goes")
    counts: dict[MessageStatus, int] = Field(description="Its messages by status")
    progress: float = Field(description="The part whose fate is known for good, from 0 to 1")
    created_by: str | None
    created_at: datetime
    updated_at: datetime


class CampaignDetail(CampaignOut):
    rate_per_minute: float = Field(description="Messages sent a minute, over the last five")
    remaining: int
    eta: datetime | None = Field(description="null: nothing is left, or it stands still")
    waiting_for: str | None = Field(description="Why it stands still")
    expires_at: datetime | None = Field(description="When the first of what is left expires")
    expected_too_late: int = Field(description="How many are likely to expire before their turn")


class CampaignWritten(CampaignDetail):
    skipped: list[RefusedOut] = Field(description="Groups that were left out, with the reason")


class CampaignSaved(CampaignWritten):
    time_notes: TimeNotes


class ResumedOut(CampaignDetail):
    expired_meanwhile: int = Field(description="Messages that expired during the pause")
    extended: int = Field(description="Messages that were given more time")


class CancelledCampaignOut(CampaignDetail):
    cancelled: int = Field(description="Messages that were called off")


class RetriedOut(CampaignDetail):
    requeued: int
    refused: list[RefusedOut] = Field(description="Groups that the number cannot write to")


class VerifiedOut(CampaignDetail):
    asked: int = Field(description="Messages that the gateway is asked about now")
    cannot_be_asked: int = Field(description="Those that its gateway cannot answer for")


class ArrivedOut(CampaignDetail):
    marked: int


class CampaignList(ApiModel):
    items: list[CampaignOut]
    next_cursor: str | None
    counts: dict[CampaignStatus, int]


class ResultList(ApiModel):
    items: list[MessageOut]
    next_cursor: str | None
    total: int


# --- shapes ---------------------------------------------------------------------------------


async def detail(
    session: AsyncSession, runtime: Runtime, principal: Principal, campaign_id: UUID
) -> dict[str, Any]:
    view = await queries.get_view(session, principal.organization_id, campaign_id)
    seen = await progress.outlook(session, view, now=runtime.clock.now())
    return facts(view) | {
        "rate_per_minute": seen.rate_per_minute,
        "remaining": seen.remaining,
        "eta": seen.eta,
        "waiting_for": seen.waiting_for,
        "expires_at": seen.expires_at,
        "expected_too_late": seen.too_late,
    }


def facts(view: CampaignView) -> dict[str, Any]:
    facts = {name: getattr(view, name) for name in CampaignOut.model_fields}
    return facts | {"counts": view.counts.as_dict(), "actions": list(view.actions)}


def refused(groups: Sequence[RefusedGroup]) -> list[RefusedOut]:
    return [
        RefusedOut(id=each.group_id, name=each.name, code=each.code, reason=each.reason)
        for each in groups
    ]


def on_refused_of(*, skip: bool) -> OnRefused:
    return "skip" if skip else "refuse"


async def looked_at(
    runtime: Runtime,
    principal: Principal,
    once: Idempotency,
    url: str | None,
    kind: MediaType | None,
) -> Media | None:
    """Looked at before the transaction; what was answered once is not looked at again."""
    async with runtime.database.reading() as session:
        if await once.answered(session, principal.organization_id) is not None:
            return None
    return await media.check_if_given(url, kind, policy=runtime.media_policy)
