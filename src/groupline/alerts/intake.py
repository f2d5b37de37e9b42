"""From entries of the journal to alerts that wait until they are due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.alerts import queries
from groupline.alerts.rules import due_of_window, window_of
from groupline.db import announce
from groupline.ids import new_id
from groupline.models import Alert, JournalEntry

_ON_PURPOSE: Final = frozenset(("user", "replaced", "cancelled"))
"""Who disconnects a number need not be told that it is disconnected."""
_HOUR: Final = timedelta(hours=1)


def new_alert(
    organization_id: UUID,
    kind: str,
    key: str,
    *,
    subject: tuple[str, UUID | None],
    data: Mapping[str, Any],
    happened_at: datetime,
    due_at: datetime,
    now: datetime,
    count: int = 1,
) -> Alert:
    return Alert(
        id=new_id(),
        organization_id=organization_id,
        kind=kind,
        key=f"{kind}:{key}",
        subject=subject[0],
        subject_id=subject[1],
        data=dict(data),
        count=count,
        happened_at=happened_at,
        due_at=due_at,
        created_at=now,
    )


async def take_in(
    session: AsyncSession, entries: Sequence[JournalEntry], *, grace: timedelta, now: datetime
) -> None:
    """Each entry once: the caller moves the reader's cursor in the same transaction."""
    await _count_messages(session, [each for each in entries if each.subject == "message"], now)
    for entry in entries:
        match entry.action:
            case "number.disconnected":
                await _disconnected(session, entry, grace, now)
            case "number.connected":
                await _connected(session, entry, now)
            case "number.restricted" | "preflight.failed":
                _add(session, entry, entry.action, now)
            case "number.unrestricted":
                await _close(session, entry, "number.restricted", now)
            case "campaign.finished" if entry.data.get("status") in ("partial_failure", "failed"):
                _add(session, entry, "campaign.failed", now)
            case "campaign.reopened" | "campaign.retried":
                await _close(session, entry, "campaign.failed", now)
            case "campaign.revised" if entry.data.get("status") in ("completed", "cancelled"):
                await _close(session, entry, "campaign.failed", now)
            case "gateway.webhooks_refused":
                await _webhooks_refused(session, entry, now)
            case _:
                pass  # a message, which is counted above; a campaign that ended well
    await session.flush()


def _add(session: AsyncSession, entry: JournalEntry, kind: str, now: datetime) -> None:
    if entry.organization_id is None:
        return
    alert = new_alert(
        entry.organization_id,
        kind,
        entry.id.hex,
        subject=(entry.subject, entry.subject_id),
        data=entry.data,
        happened_at=entry.at,
        due_at=now,
        now=now,
    )
    session.add(alert)


# --- numbers --------------------------------------------------------------------------------


async def _disconnected(
    session: AsyncSession, entry: JournalEntry, grace: timedelta, now: datetime
) -> None:
    if entry.organization_id is None or entry.subject_id is None:
        return
    if entry.data.get("reason") in _ON_PURPOSE:
        return
    if await queries.open_alerts(session, "number.disconnected", [entry.subject_id]):
        return
    alert = new_alert(
        entry.organization_id,
        "number.disconnected",
        entry.id.hex,
        subject=("number", entry.subject_id),
        data=entry.data,
        happened_at=entry.at,
        due_at=entry.at + grace,
        now=now,
    )
    session.add(alert)
    await session.flush()


async def _connected(session: AsyncSession, entry: JournalEntry, now: datetime) -> None:
    """Who was told that it is gone is told that it is back; who was not, never hears of it."""
    if entry.subject_id is None:
        return
    for alert in await queries.open_alerts(session, "number.disconnected", [entry.subject_id]):
        if alert.raised_at is None:
            await session.delete(alert)
            continue
        alert.resolved_at = now
        good_news(session, alert, "number.connected", entry.at, now)
    await session.flush()


def good_news(
    session: AsyncSession, bad: Alert, kind: str, happened_at: datetime, now: datetime
) -> None:
    """It needs nobody, so it is over as soon as it is told."""
    alert = new_alert(
        bad.organization_id,
        kind,
        bad.id.hex,
        subject=(bad.subject, bad.subject_id),
        data={"since": bad.happened_at.isoformat()},
        happened_at=happened_at,
        due_at=now,
        now=now,
    )
    alert.resolved_at = now
    session.add(alert)


async def _close(session: AsyncSession, entry: JournalEntry, kind: str, now: datetime) -> None:
    if entry.subject_id is None:
        return
    for alert in await queries.open_alerts(session, kind, [entry.subject_id]):
        alert.resolved_at = now
        await announce(
            session, "alerts", organization_id=alert.organization_id, subject_id=alert.id
        )


# --- messages -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Window:
    """What is counted together."""

    organization_id: UUID
    kind: str
    number_id: UUID
    start: datetime

    @property
    def key(self) -> str:
        return f"{self.number_id.hex}:{self.start.isoformat()}"


async def _count_messages(
    session: AsyncSession, entries: Sequence[JournalEntry], now: datetime
) -> None:
    """One alert per kind, number and minute, whatever the count of messages."""
    ids = {entry.subject_id for entry in entries if entry.subject_id is not None}
    if not ids:
        return
    numbers = await queries.numbers_of_messages(session, ids)
    windows: dict[_Window, list[JournalEntry]] = {}
    for entry in entries:
        number_id = numbers.get(entry.subject_id) if entry.subject_id is not None else None
        if number_id is not None and entry.organization_id is not None:
            start = window_of(entry.at, now)
            window = _Window(entry.organization_id, entry.action, number_id, start)
            windows.setdefault(window, []).append(entry)
    keys = {(each.organization_id, f"{each.kind}:{each.key}") for each in windows}
    known = await queries.alerts_by_key(session, keys)
    for window, counted in windows.items():
        alert = known.get((window.organization_id, f"{window.kind}:{window.key}"))
        if alert is None:
            session.add(_message_alert(window, counted, now))
        else:
            alert.count += len(counted)
            alert.happened_at = min(alert.happened_at, _first_of(counted))
            alert.data = _last_of(counted)


def _first_of(counted: Sequence[JournalEntry]) -> datetime:
    return min(entry.at for entry in counted)


def _last_of(counted: Sequence[JournalEntry]) -> dict[str, Any]:
    return {"sentence": counted[-1].data.get("sentence")}


def _message_alert(window: _Window, counted: Sequence[JournalEntry], now: datetime) -> Alert:
    return new_alert(
        window.organization_id,
        window.kind,
        window.key,
        subject=("number", window.number_id),
        data=_last_of(counted),
        happened_at=_first_of(counted),
        due_at=due_of_window(window.kind, window.start),
        now=now,
        count=len(counted),
    )


# --- gateways -------------------------------------------------------------------------------


async def _webhooks_refused(session: AsyncSession, entry: JournalEntry, now: datetime) -> None:
    """Once an hour, to whoever has a phone there. The gateway belongs to all of them."""
    if entry.subject_id is None:
        return
    hour = entry.at.replace(minute=0, second=0, microsecond=0)
    kind, key = entry.action, f"{entry.subject_id.hex}:{hour.isoformat()}"
    organizations = await queries.organizations_at(session, entry.subject_id)
    known = await queries.alerts_by_key(
        session, {(each, f"{kind}:{key}") for each in organizations}
    )
    for organization_id in organizations:
        if (organization_id, f"{kind}:{key}") in known:
            continue
        alert = new_alert(
            organization_id,
            kind,
            key,
            subject=("gateway", entry.subject_id),
            data=entry.data,
            happened_at=entry.at,
            due_at=now,
            now=now,
        )
        session.add(alert)
    await session.flush()
