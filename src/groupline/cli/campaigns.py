"""``groupline campaigns``: follow and steer campaigns from the server itself."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, cast, get_args
from uuid import UUID

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import actions, progress, queries
from groupline.campaigns.schemas import CampaignView, Outlook
from groupline.cli.output import WRONG_USAGE, JsonOption, command, emit, emit_list, fail, table
from groupline.errors import NotFound
from groupline.gateways.phone import display_phone, normalise_phone
from groupline.journal import COMMAND_LINE
from groupline.models import CampaignStatus, WhatsappNumber
from groupline.orgs.service import find_organization
from groupline.runtime import open_runtime
from groupline.settings import load_settings

_AT_MOST: Final = 500
_STATUSES: Final[tuple[CampaignStatus, ...]] = get_args(CampaignStatus)

app = typer.Typer(help="Campaigns.", no_args_is_help=True)

Org = Annotated[str, typer.Option("--org", help="The organization's short name.")]
CampaignId = Annotated[UUID, typer.Argument(help="The id of the campaign.")]


@app.command(name="list")
@command
async def show_all(
    org: Org,
    status: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(_STATUSES)}; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_AT_MOST)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List campaigns, the newest first."""
    unknown = set(status or ()) - set(_STATUSES)
    if unknown:
        fail(f"there is no status {', '.join(sorted(unknown))}", code=WRONG_USAGE)
    statuses = cast("list[CampaignStatus] | None", status or None)
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization_id = (await find_organization(session, org)).id
        found = await queries.list_views(
            session, organization_id, statuses=statuses, limit=limit + 1
        )
    views = found[:limit]
    emit_list(
        [_facts(each) for each in views],
        as_json=as_json,
        line=_table(views),
        more=len(found) > limit,
        limit=limit,
        most=_AT_MOST,
    )


@app.command()
@command
async def show(campaign_id: CampaignId, org: Org, as_json: JsonOption = False) -> None:
    """One campaign: how far it is, how fast it goes, when it will be done."""

    async def nothing(_session: AsyncSession, _organization_id: UUID, _now: datetime) -> None:
        return None

    await _act(org, campaign_id, nothing, as_json=as_json)


@app.command()
@command
async def pause(campaign_id: CampaignId, org: Org, as_json: JsonOption = False) -> None:
    """Stop it: nothing more leaves but what is on its way."""

    async def act(session: AsyncSession, organization_id: UUID, now: datetime) -> None:
        await actions.pause(session, organization_id, campaign_id, actor=COMMAND_LINE, now=now)

    await _act(org, campaign_id, act, as_json=as_json)


@app.command()
@command
async def resume(
    campaign_id: CampaignId,
    org: Org,
    extend: Annotated[
        bool, typer.Option("--extend", help="Give what is left its whole time again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Go on. Says how many messages expired during the pause."""

    async def act(session: AsyncSession, organization_id: UUID, now: datetime) -> dict[str, Any]:
        resumed = await actions.resume(
            session, organization_id, campaign_id, extend=extend, actor=COMMAND_LINE, now=now
        )
        return {"expiredMeanwhile": resumed.expired_meanwhile, "extended": resumed.extended}

    await _act(org, campaign_id, act, as_json=as_json)


@app.command()
@command
async def cancel(campaign_id: CampaignId, org: Org, as_json: JsonOption = False) -> None:
    """Call off everything that has not been claimed."""

    async def act(session: AsyncSession, organization_id: UUID, now: datetime) -> dict[str, Any]:
        count = await actions.cancel(
            session, organization_id, campaign_id, actor=COMMAND_LINE, now=now
        )
        return {"cancelled": count}

    await _act(org, campaign_id, act, as_json=as_json)


@app.command(name="retry-failed")
@command
async def retry_failed(
    campaign_id: CampaignId,
    org: Org,
    number: Annotated[str | None, typer.Option(help="Send from this number: +91…")] = None,
    include_expired: Annotated[
        bool, typer.Option("--include-expired", help="Also what expired.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send again what failed, and nothing that may have arrived."""

    async def act(session: AsyncSession, organization_id: UUID, now: datetime) -> dict[str, Any]:
        retried = await actions.retry_failed(
            session,
            organization_id,
            campaign_id,
            number_id=await _number(session, organization_id, number) if number else None,
            include_expired=include_expired,
            actor=COMMAND_LINE,
            now=now,
        )
        refused = [{"group": each.name, "reason": each.reason} for each in retried.refused]
        return {"requeued": retried.requeued, "refused": refused}

    await _act(org, campaign_id, act, as_json=as_json)


async def _number(session: AsyncSession, organization_id: UUID, text: str) -> UUID:
    digits = normalise_phone(text)
    statement = select(WhatsappNumber.id).where(
        WhatsappNumber.organization_id == organization_id, WhatsappNumber.phone_number == digits
    )
    found = await session.scalar(statement)
    if found is None:
        raise NotFound(f"The organization has no number {display_phone(digits)}.")
    return found


_Act = Callable[[AsyncSession, UUID, datetime], Awaitable[dict[str, Any] | None]]


async def _act(org: str, campaign_id: UUID, act: _Act, *, as_json: bool) -> None:
    async with open_runtime(load_settings()) as runtime:
        now = runtime.clock.now()
        async with runtime.database.writing() as session:
            organization_id = (await find_organization(session, org)).id
            done = await act(session, organization_id, now)
        async with runtime.database.reading() as session:
            view = await queries.get_view(session, organization_id, campaign_id)
            seen = await progress.outlook(session, view, now=now)
    facts = _facts(view) | _outlook(seen) | (done or {})
    emit(facts, as_json=as_json, line=_lines(facts, done or {}))


# --- shapes ---------------------------------------------------------------------------------


def _facts(view: CampaignView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "status": view.status,
        "number": view.phone_number,
        "groups": view.groups,
        "counts": view.counts.as_dict(),
        "progress": view.progress,
        "scheduledFor": view.scheduled_for,
        "startedAt": view.started_at,
        "finishedAt": view.finished_at,
    }


def _outlook(seen: Outlook) -> dict[str, Any]:
    return {
        "remaining": seen.remaining,
        "ratePerMinute": seen.rate_per_minute,
        "eta": seen.eta,
        "waitingFor": seen.waiting_for,
        "expectedTooLate": seen.too_late,
    }


def _table(views: Sequence[CampaignView]) -> str:
    if not views:
        return "No campaigns."
    rows = [
        [
            str(each.id),
            each.name,
            each.status,
            f"{each.counts.sent} of {each.groups}",
            str(each.counts.not_arrived),
        ]
        for each in views
    ]
    return table([["ID", "NAME", "STATUS", "SENT", "FAILED"], *rows])


def _rate(facts: dict[str, Any]) -> str:
    return f"{facts['remaining']} at {facts['ratePerMinute']:g} a minute"


def _lines(facts: dict[str, Any], done: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in facts["counts"].items() if count)
    rows = [
        ["Name", facts["name"]],
        ["Status", facts["status"]],
        ["Messages", counts or f"none yet; a draft for {facts['groups']} groups"],
        ["Left", _rate(facts) if facts["eta"] else str(facts["remaining"])],
        ["Done by", facts["eta"].isoformat() if facts["eta"] else facts["waitingFor"] or "–"],
    ]
    rows += [[name, str(value)] for name, value in done.items() if name != "refused"]
    refused = done.get("refused", ())
    rows += [["Not sent", f"{each['group']}: {each['reason']}"] for each in refused]
    return table(rows)
