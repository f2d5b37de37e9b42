"""The sync of one number: fetch its groups from the gateway, save them, prove what was saved."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.clock import Clock
from groupline.db import Database, announce
from groupline.errors import (
    Conflict,
    GatewayAuthFailed,
    GatewayRefused,
    GatewaySessionUnknown,
    GatewayUnreachable,
    GrouplineError,
    NotFound,
)
from groupline.gateways.port import GroupListing, Probe
from groupline.gateways.service import Gateways, note_probe, note_success
from groupline.groups import rules, saving, turns
from groupline.groups.failures import database_errors, failure_facts, not_connected
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import Gateway, Organization, WhatsappNumber
from groupline.numbers.queries import ask_about

log = structlog.get_logger(__name__)

_KEPT_SKIPPED: Final = 50
_WORTH_TELLING: Final = 500
_SEEN_LATELY: Final = timedelta(minutes=1)
_COMMUNITY_PARENT: Final = "community_parent"
_DOUBTFUL: Final = (GatewaySessionUnknown, GatewayRefused, GatewayUnreachable, GatewayAuthFailed)
"""From a gateway that is well, these say that something may be wrong with the session."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What one sync left in the database, counted there."""

    vps_count: int
    saved_count: int
    added: int
    updated: int
    deactivated: int
    skipped: tuple[tuple[str | None, str], ...]
    suspicious: str | None
    """Why nothing was removed, as sentences for a person."""
    can_be_confirmed: bool

    def as_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "success": True,
            "vpsCount": self.vps_count,
            "savedCount": self.saved_count,
            "added": self.added,
            "updated": self.updated,
            "deactivated": self.deactivated,
            "skipped": [{"jid": jid, "reason": reason} for jid, reason in self.skipped],
            "complete": self.suspicious is None,
        }
        if self.suspicious is not None:
            answer |= {"suspicious": self.suspicious, "canBeConfirmed": self.can_be_confirmed}
        return answer


@dataclass(frozen=True, slots=True)
class _Run:
    """One sync under way."""

    organization_id: UUID
    number_id: UUID
    phone_number: str = field(repr=False)
    session_id: UUID
    gateway_session_id: str
    gateway: Gateway = field(repr=False)
    actor: Actor
    confirmed: bool
    started_at: datetime
    token: str


class GroupSync:
    """Syncs numbers, each one at a time. No transaction is open while a gateway is asked."""

    def __init__(
        self,
        database: Database,
        gateways: Gateways,
        clock: Clock,
        *,
        chance: random.Random | None = None,
    ) -> None:
        self._database = database
        self._gateways = gateways
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - spreads syncs, no secret

    async def run(
        self, organization_id: UUID, number_id: UUID, *, actor: Actor, confirmed: bool = False
    ) -> SyncResult:
        """Fetch and save. ``confirmed``: a person says that missing groups are really gone.

        Raises ``NotFound``, ``NumberNotConnected``, ``Conflict`` while another sync of the number
        runs, a gateway error, or ``DatabaseFailed``; the last three leave all groups as they were.
        """
        async with database_errors(vps_count=0):
            run = await self._begin(organization_id, number_id, actor, confirmed)
        try:
            listing = await self._fetch(run)
            async with database_errors(vps_count=_reported(listing)):
                await self._tell_how_far(run, listing)
                return await self._save(run, listing)
        except GrouplineError as failure:
            await self._note_failure(run, failure)
            raise
        except BaseException:
            await self._give_up(run)
            raise

    async def _begin(
        self, organization_id: UUID, number_id: UUID, actor: Actor, confirmed: bool
    ) -> _Run:
        now, token = self._clock.now(), str(new_id())
        async with self._database.writing() as session:
            pairing = await turns.find_pairing(session, organization_id, number_id)
            if pairing is None:
                raise NotFound("There is no such number.")
            if pairing.session is None or pairing.gateway is None:
                raise not_connected()
            if not await turns.take_turn(session, number_id, token, now):
                raise await _already_running(session, organization_id, number_id, now)
            await announce(
                session, "numbers", organization_id=organization_id, subject_id=number_id
            )
        return _Run(
            organization_id=organization_id,
            number_id=number_id,
            phone_number=pairing.number.phone_number,
            session_id=pairing.session.id,
            gateway_session_id=pairing.session.gateway_session_id,
            gateway=pairing.gateway,
            actor=actor,
            confirmed=confirmed,
            started_at=now,
            token=token,
        )

    async def _fetch(self, run: _Run) -> GroupListing:
        driver = self._gateways.driver(run.gateway)
        async with turns.kept(self._database, run.number_id, run.token, self._clock):
            return await driver.groups(
                run.gateway_session_id, include_invite_links=True, own_phone=run.phone_number
            )

    async def _tell_how_far(self, run: _Run, listing: GroupListing) -> None:
        """For whoever watches: saving this many takes a moment."""
        if len(listing.groups) < _WORTH_TELLING:
            return
        async with self._database.writing() as session:
            await turns.renew_turn(session, run.number_id, run.token, self._clock.now())
            await turns.note_fetched(session, run.number_id, run.token, len(listing.groups))
            await announce(
                session, "numbers", organization_id=run.organization_id, subject_id=run.number_id
            )

    async def _save(self, run: _Run, listing: GroupListing) -> SyncResult:
        """All of it in one transaction, counts included."""
        async with self._database.writing() as session:
            if not await turns.still_has_turn(session, run.number_id, run.token):
                raise Conflict(
                    "This sync took too long, and another one has begun since. Nothing was saved.",
                    state="superseded",
                )
            result = await write_listing(
                session,
                run.organization_id,
                run.number_id,
                listing,
                at=run.started_at,
                confirmed=run.confirmed,
            )
            await self._finish(session, run, result)
        await self._note_gateway(run.gateway)
        log.info(
            "groups.synced",
            organization_id=str(run.organization_id),
            number_id=str(run.number_id),
            vps_count=result.vps_count,
            saved_count=result.saved_count,
            suspicious=result.suspicious is not None,
        )
        return result

    async def _finish(self, session: AsyncSession, run: _Run, result: SyncResult) -> None:
        now = self._clock.now()
        answer = result.as_json()
        answer["skipped"] = answer["skipped"][:_KEPT_SKIPPED]
        await _note_sync(
            session, run, answer | {"at": now.isoformat()}, rules.next_sync(now, self._chance)
        )
        await session.execute(
            update(WhatsappNumber)
            .where(WhatsappNumber.organization_id == run.organization_id)
            .where(WhatsappNumber.id == run.number_id)
            .values(synced_at=run.started_at)
        )
        await _record(session, run, "groups.synced", answer, now)
        await announce(
            session, "groups", organization_id=run.organization_id, subject_id=run.number_id
        )

    async def _note_gateway(self, gateway: Gateway) -> None:
        """It answered. Apart from the groups, which are saved whatever becomes of this."""
        now = self._clock.now()
        seen = gateway.last_seen_at
        if gateway.unreachable_since is None and seen is not None and now - seen < _SEEN_LATELY:
            return
        try:
            async with self._database.writing() as session:
                await note_success(session, gateway.id, now)
        except (SQLAlchemyError, OSError):
            log.exception("groups.gateway_not_noted", gateway_id=str(gateway.id))

    async def _note_failure(self, run: _Run, failure: GrouplineError) -> None:
        """Tells the caller what counts, and leaves a note for everybody else."""
        failure.extra.update(failure_facts(failure))
        log.warning(
            "groups.sync_failed",
            organization_id=str(run.organization_id),
            number_id=str(run.number_id),
            code=failure.code,
        )
        trouble = await self._trouble_of(run.gateway, failure)
        try:
            async with self._database.writing() as session:
                await self._store_failure(session, run, failure, trouble)
        except (SQLAlchemyError, OSError):
            # The failure itself is on its way to the caller; the turn ends by its own time.
            log.exception("groups.sync_failure_not_stored", number_id=str(run.number_id))

    async def _trouble_of(self, gateway: Gateway, failure: GrouplineError) -> Probe | None:
        """What is wrong with the gateway itself; ``None`` if only this one list did not come."""
        if not isinstance(failure, GatewayUnreachable | GatewayAuthFailed):
            return None
        probe = await self._gateways.probe(gateway)
        return None if probe.failure is None else probe

    async def _store_failure(
        self, session: AsyncSession, run: _Run, failure: GrouplineError, trouble: Probe | None
    ) -> None:
        now = self._clock.now()
        if not await turns.still_has_turn(session, run.number_id, run.token):
            return
        number = await saving.lock_number(session, run.organization_id, run.number_id)
        failures = 1 + int((number.last_sync or {}).get("failures", 0))
        answer = {"code": failure.code} | failure_facts(failure) | failure.extra
        stored = answer | {"at": now.isoformat(), "failures": failures}
        await _note_sync(session, run, stored, rules.retry_sync(now, failures))
        if trouble is not None:
            await note_probe(session, run.gateway.id, trouble, now)
        elif isinstance(failure, _DOUBTFUL):
            await ask_about(session, run.organization_id, run.session_id, now)
        await _record(session, run, "groups.sync_failed", answer, now)

    async def _give_up(self, run: _Run) -> None:
        """Cancelled, or broken in a way nobody foresaw: the next run need not wait."""
        async with self._database.writing() as session:
            await turns.end_turn(session, run.number_id, run.token)
            await announce(
                session, "numbers", organization_id=run.organization_id, subject_id=run.number_id
            )


async def write_listing(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID,
    listing: GroupListing,
    *,
    at: datetime,
    confirmed: bool = False,
) -> SyncResult:
    """Brings groups and memberships to what the gateway listed at that time, and counts them."""
    await saving.lock_organization(session, organization_id)
    await saving.lock_number(session, organization_id, number_id)
    known = await saving.known_groups(session, organization_id, number_id)
    active = {jid: group.membership_id for jid, group in known.items() if group.is_active}
    verdict = rules.judge(listing, active)
    plan = rules.plan(listing, known)
    await saving.add_groups(session, organization_id, number_id, plan.new, at)
    await saving.recount_groups(session, organization_id, plan.recounted, at)
    await saving.change_groups(session, organization_id, plan.changed, at)
    await saving.move_memberships(session, organization_id, plan.moved, at)
    trusted = verdict.deactivates(confirmed=confirmed)
    gone = [active[jid] for jid in sorted(verdict.missing)] if trusted else []
    deactivated = await saving.deactivate(session, organization_id, gone, at)
    saved = await saving.count_active(session, organization_id, number_id)
    added = saved - len(active) + deactivated
    return SyncResult(
        vps_count=_reported(listing),
        saved_count=saved,
        added=added,
        updated=len(listing.groups) - added,
        deactivated=deactivated,
        skipped=_skipped(listing),
        suspicious=None if trusted else rules.explain(verdict),
        can_be_confirmed=not trusted and verdict.can_be_confirmed and bool(verdict.missing),
    )


def _reported(listing: GroupListing) -> int:
    """Different groups that the gateway spoke of, also those that could not be read."""
    return len(listing.groups) + len(listing.skipped)


def _skipped(listing: GroupListing) -> tuple[tuple[str | None, str], ...]:
    """Entries that could not be used, and groups that are kept but cannot be sent to."""
    parents = ((group.jid, _COMMUNITY_PARENT) for group in listing.groups if group.is_community)
    return (*((entry.jid, entry.reason) for entry in listing.skipped), *parents)


async def _note_sync(
    session: AsyncSession, run: _Run, answer: dict[str, Any], next_at: datetime
) -> None:
    """What the last sync said, when the next one is due, and that this one is over."""
    await session.execute(
        update(WhatsappNumber)
        .where(WhatsappNumber.organization_id == run.organization_id)
        .where(WhatsappNumber.id == run.number_id)
        .values(last_sync=answer, groups_sync_due_at=next_at)
    )
    await turns.end_turn(session, run.number_id, run.token)
    await announce(
        session, "numbers", organization_id=run.organization_id, subject_id=run.number_id
    )


async def _record(
    session: AsyncSession, run: _Run, action: str, data: dict[str, Any], at: datetime
) -> None:
    await journal.record(
        session,
        action=action,
        actor=run.actor,
        organization_id=run.organization_id,
        subject="number",
        subject_id=run.number_id,
        data=data,
        at=at,
    )


async def _already_running(
    session: AsyncSession, organization_id: UUID, number_id: UUID, now: datetime
) -> Conflict:
    turn = (await turns.running(session, [number_id], now)).get(number_id)
    since = turn.since if turn else now
    organization = await session.get_one(Organization, organization_id)
    local = since.astimezone(ZoneInfo(organization.timezone))
    detail = f"A sync is running since {local:%H:%M:%S %Z}."
    return Conflict(
        detail,
        hint="Its result appears on the page as soon as it is there.",
        state="syncing",
        since=since.isoformat(),
        fetched=turn.fetched if turn else None,
        success=False,
        error=detail,
        vpsCount=0,
        savedCount=0,
    )
