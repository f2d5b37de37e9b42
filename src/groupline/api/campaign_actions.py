"""Campaigns under way: start, pause, cancel, send again, verify."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.api.campaign_shapes import (
    ArrivedOut,
    CampaignDetail,
    CampaignWritten,
    CancelledCampaignOut,
    ResumedOut,
    ResumeIn,
    RetriedOut,
    RetryIn,
    StartIn,
    VerifiedOut,
    detail,
    looked_at,
    on_refused_of,
    refused,
)
from groupline.campaigns import actions, queries, service
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency, Idempotency
from groupline.http.schemas import problems
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

router = APIRouter(prefix="/campaigns", tags=["campaigns"])

Sender = Annotated[Principal, Depends(allowed(Permission.SEND))]


# --- running --------------------------------------------------------------------------------


@router.post(
    "/{campaign_id}/start",
    response_model=CampaignWritten,
    summary="Write the messages of a draft, or send a scheduled campaign now",
    responses=problems(404, 409, 422),
)
async def start(
    *,
    runtime: CurrentRuntime,
    sender: Sender,
    once: CurrentIdempotency,
    campaign_id: UUID,
    body: StartIn | None = None,
) -> Response:
    """Media is looked at once more: it may have gone since the draft was written."""
    async with runtime.database.reading() as session:
        row = await queries.get_row(session, sender.organization_id, campaign_id)
    await looked_at(runtime, sender, once, row.media_url, row.media_type)
    skip = body is not None and body.skip_refused

    async def effect(session: AsyncSession) -> CampaignWritten:
        written = await service.start(
            session,
            sender.organization_id,
            campaign_id,
            on_refused=on_refused_of(skip=skip),
            actor=sender.actor,
            now=runtime.clock.now(),
        )
        await session.flush()
        shown = await detail(session, runtime, sender, campaign_id)
        return CampaignWritten(**shown, skipped=refused(written.skipped))

    return await once.in_transaction(sender, effect)


@router.post(
    "/{campaign_id}/pause",
    response_model=CampaignDetail,
    summary="Stop: nothing more leaves but what is on its way",
    responses=problems(404, 409),
)
async def pause(
    runtime: CurrentRuntime, sender: Sender, once: CurrentIdempotency, campaign_id: UUID
) -> Response:
    """The clock of the messages goes on: what passes `expiresAt` during the pause expires."""

    async def act(session: AsyncSession, now: datetime) -> dict[str, Any]:
        who = sender.organization_id
        await actions.pause(session, who, campaign_id, actor=sender.actor, now=now)
        return {}

    return await _Call(runtime, sender, once, campaign_id).answer(act, CampaignDetail)


@router.post(
    "/{campaign_id}/resume",
    response_model=ResumedOut,
    summary="Go on",
    responses=problems(404, 409, 422),
)
async def resume(
    *,
    runtime: CurrentRuntime,
    sender: Sender,
    once: CurrentIdempotency,
    campaign_id: UUID,
    body: ResumeIn | None = None,
) -> Response:
    """Nothing gets more time in silence: the answer counts what the pause made expire."""

    async def act(session: AsyncSession, now: datetime) -> dict[str, Any]:
        resumed = await actions.resume(
            session,
            sender.organization_id,
            campaign_id,
            extend=body is not None and body.extend,
            actor=sender.actor,
            now=now,
        )
        return {"expired_meanwhile": resumed.expired_meanwhile, "extended": resumed.extended}

    return await _Call(runtime, sender, once, campaign_id).answer(act, ResumedOut)


@router.post(
    "/{campaign_id}/cancel",
    response_model=CancelledCampaignOut,
    summary="Call off everything that has not been claimed",
    responses=problems(404, 409),
)
async def cancel(
    runtime: CurrentRuntime, sender: Sender, once: CurrentIdempotency, campaign_id: UUID
) -> Response:
    async def act(session: AsyncSession, now: datetime) -> dict[str, Any]:
        count = await actions.cancel(
            session, sender.organization_id, campaign_id, actor=sender.actor, now=now
        )
        return {"cancelled": count}

    return await _Call(runtime, sender, once, campaign_id).answer(act, CancelledCampaignOut)


@router.post(
    "/{campaign_id}/retry-failed",
    response_model=RetriedOut,
    summary="Send again what failed, and nothing that may have arrived",
    responses=problems(404, 409, 422),
)
async def retry_failed(
    *,
    runtime: CurrentRuntime,
    sender: Sender,
    once: CurrentIdempotency,
    campaign_id: UUID,
    body: RetryIn | None = None,
) -> Response:
    wanted = body or RetryIn(number_id=None)

    async def act(session: AsyncSession, now: datetime) -> dict[str, Any]:
        retried = await actions.retry_failed(
            session,
            sender.organization_id,
            campaign_id,
            number_id=wanted.number_id,
            include_expired=wanted.include_expired,
            actor=sender.actor,
            now=now,
        )
        return {"requeued": retried.requeued, "refused": refused(retried.refused)}

    return await _Call(runtime, sender, once, campaign_id).answer(act, RetriedOut)


@router.post(
    "/{campaign_id}/verify",
    response_model=VerifiedOut,
    summary="Ask the gateways now about everything whose fate is not known",
    responses=problems(404, 409),
)
async def verify(
    runtime: CurrentRuntime, sender: Sender, once: CurrentIdempotency, campaign_id: UUID
) -> Response:
    async def act(session: AsyncSession, now: datetime) -> dict[str, Any]:
        found = await actions.verify(
            session, sender.organization_id, campaign_id, actor=sender.actor, now=now
        )
        return {"asked": found.asked, "cannot_be_asked": found.cannot_be_asked}

    return await _Call(runtime, sender, once, campaign_id).answer(act, VerifiedOut)


@router.post(
    "/{campaign_id}/mark-arrived",
    response_model=ArrivedOut,
    summary="Your word that everything uncertain is in its group",
    responses=problems(404, 409),
)
async def mark_arrived(
    runtime: CurrentRuntime, sender: Sender, once: CurrentIdempotency, campaign_id: UUID
) -> Response:
    async def act(session: AsyncSession, now: datetime) -> dict[str, Any]:
        count = await actions.mark_arrived(
            session, sender.organization_id, campaign_id, actor=sender.actor, now=now
        )
        return {"marked": count}

    return await _Call(runtime, sender, once, campaign_id).answer(act, ArrivedOut)


_Act = Callable[[AsyncSession, datetime], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Call:
    """Who wants something done with which campaign."""

    runtime: Runtime
    sender: Principal
    once: Idempotency
    campaign_id: UUID

    async def answer(self, act: _Act, shape: type[CampaignDetail]) -> Response:
        """Does it and answers with the campaign as it was committed."""

        async def effect(session: AsyncSession) -> CampaignDetail:
            done = await act(session, self.runtime.clock.now())
            await session.flush()
            shown = await detail(session, self.runtime, self.sender, self.campaign_id)
            return shape(**shown, **done)

        return await self.once.in_transaction(self.sender, effect)
