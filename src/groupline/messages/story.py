"""A message's whole story: who wrote it, what happened to it, and who got it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.gateways.phone import display_phone
from groupline.messages.called_off import NOT_SENT_AGAIN
from groupline.messages.schemas import MessageView
from groupline.models import ApiKey, JournalEntry, User, WhatsappNumber

_ENTRIES: Final = 200
_MOVED: Final = "message.moved"

_TITLES: Final[Mapping[str, str]] = {
    "message.sent": "Sent",
    "message.accepted": "Taken by the gateway",
    "message.uncertain": "Uncertain",
    "message.waiting": "Could not go yet",
    "message.rejected": "Rejected by the gateway",
    "message.failed": "Failed",
    "message.expired": "Expired",
    "message.cancelled": "Cancelled",
    "message.discarded": "Put away",
    "message.resolved": "Decided by a person",
    "message.requeued": "To be sent again",
    "message.arrived": "Arrived although it was cancelled",
    "message.superseded": "Called off as a second copy",
    "message.report_ambiguous": "Report that may be about it",
    _MOVED: "Given to the standby number",
}

_PROOFS: Final[Mapping[str, str]] = {
    "look_up": "The gateway was asked, and had sent it.",
    "callback": "The gateway reported that it was sent.",
    "late_answer": "The answer of the gateway came late: it was sent.",
    "receipt": "Somebody got it, so it was sent.",
}
"""How it is known that a message left, where the answer to its request did not say so."""


@dataclass(frozen=True, slots=True)
class Chapter:
    at: datetime
    title: str
    by: str
    state: str
    text: str | None
    upstream: str | None
    data: Mapping[str, Any]


async def story_of(session: AsyncSession, view: MessageView) -> list[Chapter]:
    """From the beginning to what happened last."""
    entries = await journal.newest(
        session, view.organization_id, subject_id=view.id, limit=_ENTRIES
    )
    phones = await _phones(session, view.organization_id, entries)
    first = Chapter(
        at=view.created_at,
        title="Scheduled",
        by=await _author(session, view.created_by),
        state="scheduled",
        text=None,
        upstream=None,
        data={},
    )
    called_off = {each.at for each in entries if each.data.get("reason") == NOT_SENT_AGAIN}
    return [first, *(_chapter(entry, phones, called_off) for entry in reversed(entries))]


async def _phones(
    session: AsyncSession, organization_id: UUID, entries: Sequence[JournalEntry]
) -> Mapping[str, str]:
    """The numbers that a message was moved from and to, as people read them."""
    moves = [entry.data for entry in entries if entry.action == _MOVED]
    if not moves:
        return {}
    ids = {UUID(move[end]) for move in moves for end in ("from", "to")}
    statement = select(WhatsappNumber.id, WhatsappNumber.phone_number).where(
        WhatsappNumber.organization_id == organization_id, WhatsappNumber.id.in_(ids)
    )
    return {
        str(row.id): display_phone(row.phone_number) for row in await session.execute(statement)
    }


def _chapter(
    entry: JournalEntry, phones: Mapping[str, str], called_off: Collection[datetime]
) -> Chapter:
    data = entry.data
    title = _TITLES.get(entry.action, entry.action)
    if entry.action == "message.resolved":
        title = _decided(entry, called_off)
    return Chapter(
        at=entry.at,
        title=title,
        by=entry.actor_label,
        state=str(data.get("status", "pending")),
        text=_text(entry, phones),
        upstream=data.get("upstream"),
        data=data,
    )


def _text(entry: JournalEntry, phones: Mapping[str, str]) -> str | None:
    if entry.action == _MOVED:
        return _moved(entry.data, phones)
    if entry.action in ("message.sent", "message.arrived"):
        return _PROOFS.get(entry.data.get("by", ""))
    return entry.data.get("sentence")


def _decided(entry: JournalEntry, called_off: Collection[datetime]) -> str:
    """What the person chose: what is called off at that moment is not sent again."""
    if entry.data.get("outcome") == "arrived":
        return "It arrived"
    return "It did not arrive" if entry.at in called_off else "Send again"


def _moved(data: Mapping[str, Any], phones: Mapping[str, str]) -> str:
    down, standby = (phones.get(data[end], "A number") for end in ("from", "to"))
    return f"{down} was down. Its standby {standby} sends it."


async def _author(session: AsyncSession, reference: str | None) -> str:
    """``created_by`` names a person, an API key or Groupline itself."""
    kind, _, identifier = (reference or "system").partition(":")
    if kind == "user":
        name = await session.scalar(select(User.name).where(User.id == UUID(identifier)))
        return name or "Somebody"
    if kind == "api_key":
        name = await session.scalar(select(ApiKey.name).where(ApiKey.id == UUID(identifier)))
        return f"API key {name}" if name else "An API key"
    return "Groupline"
