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
from groupline.journal import SYSTEM, label_of
from groupline.messages.actors import actor_names
from groupline.messages.attempts import (
    Attempt,
    Counter,
    Evidence,
    Told,
    count_attempts,
    evidence_in,
    speaker,
)
from groupline.messages.called_off import NOT_SENT_AGAIN
from groupline.messages.schemas import MessageView
from groupline.models import JournalEntry, WhatsappNumber

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
    "message.rejection_overruled": "Rejection of what had arrived",
    _MOVED: "Given to the standby number",
}

_PROOFS: Final[Mapping[str, str]] = {
    "look_up": "The gateway was asked, and had sent it.",
    "callback": "The gateway reported that it was sent.",
    "late_answer": "The answer of the gateway came late: it was sent.",
    "receipt": "Somebody got it, so it was sent.",
    "overtaken": "The gateway reported that it was sent while the request was still under way.",
}
"""How it is known that a message left, where the answer to its request did not say so."""
_SENT_BEFORE: Final = "The gateway had sent it before, and said so again. There is one copy."


@dataclass(frozen=True, slots=True)
class Chapter:
    at: datetime
    title: str
    by: str
    state: str
    text: str | None
    """In a sentence of ours."""
    upstream: str | None
    """In the words of the gateway, or of the connection to it."""
    data: Mapping[str, Any]
    attempt: Attempt | None = None
    evidence: Evidence | None = None

    @property
    def speaker(self) -> str:
        """Who said ``upstream``."""
        return speaker(self.data.get("reason"), self.data.get("by"))


async def story_of(session: AsyncSession, view: MessageView) -> list[Chapter]:
    """From the beginning to what happened last. Of a very long one, the middle is counted."""
    entries = await journal.newest(
        session, view.organization_id, subject_id=view.id, limit=_ENTRIES
    )
    entries.reverse()
    left_out = await _before(session, view, entries[0]) if len(entries) == _ENTRIES else []
    attempts = count_attempts(left_out)
    phones = await _phones(session, view.organization_id, entries)
    first = Chapter(
        at=view.created_at,
        title="Scheduled",
        by=await _author(session, view),
        state="scheduled",
        text=None,
        upstream=None,
        data={},
    )
    called_off = {each.at for each in entries if each.data.get("reason") == NOT_SENT_AGAIN}
    chapters = [_chapter(entry, phones, called_off, attempts) for entry in entries]
    return [first, *([_gap(left_out)] if left_out else []), *chapters]


async def _before(session: AsyncSession, view: MessageView, first: JournalEntry) -> list[Told]:
    """What happened before the entries that are shown."""
    statement = (
        select(JournalEntry.action, JournalEntry.at, JournalEntry.data)
        .where(
            JournalEntry.organization_id == view.organization_id,
            JournalEntry.subject_id == view.id,
            JournalEntry.position < first.position,
        )
        .order_by(JournalEntry.position)
    )
    return [Told(*row) for row in await session.execute(statement)]


def _gap(left_out: Sequence[Told]) -> Chapter:
    count = len(left_out)
    steps = "1 earlier step is" if count == 1 else f"{count:,} earlier steps are"
    return Chapter(
        at=left_out[0].at,
        title="And so on",
        by=SYSTEM.label,
        state="waiting",
        text=f"{steps} only in the journal.",
        upstream=None,
        data={"leftOut": count},
    )


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
    entry: JournalEntry,
    phones: Mapping[str, str],
    called_off: Collection[datetime],
    attempts: Counter,
) -> Chapter:
    data = entry.data
    title = _TITLES.get(entry.action, entry.action)
    if entry.action == "message.resolved":
        title = _decided(entry, called_off)
    return Chapter(
        at=entry.at,
        title=title,
        by=label_of(entry.actor_kind, entry.actor_label),
        state=str(data.get("status", "pending")),
        text=_text(entry, phones),
        upstream=data.get("upstream"),
        data=data,
        attempt=attempts.read(Told(entry.action, entry.at, data)),
        evidence=evidence_in(entry.action, data),
    )


def _text(entry: JournalEntry, phones: Mapping[str, str]) -> str | None:
    if entry.action == _MOVED:
        return _moved(entry.data, phones)
    if entry.action in ("message.sent", "message.arrived"):
        said_again = _SENT_BEFORE if entry.data.get("existing") else None
        return _PROOFS.get(entry.data.get("by", ""), said_again)
    return entry.data.get("sentence")


def _decided(entry: JournalEntry, called_off: Collection[datetime]) -> str:
    """What the person chose: what is called off at that moment is not sent again."""
    if entry.data.get("outcome") == "arrived":
        return "It arrived"
    return "It did not arrive" if entry.at in called_off else "Send again"


def _moved(data: Mapping[str, Any], phones: Mapping[str, str]) -> str:
    down, standby = (phones.get(data[end], "A number") for end in ("from", "to"))
    return f"{down} was down. Its standby {standby} sends it."


async def _author(session: AsyncSession, view: MessageView) -> str:
    """As the journal has it; the name of whoever is gone is not known any more."""
    reference = view.created_by or SYSTEM.reference
    names = await actor_names(session, view.organization_id, [reference])
    gone = {"user": "Somebody", "api_key": "An API key"}
    return names.get(reference) or gone.get(reference.partition(":")[0], SYSTEM.label)
