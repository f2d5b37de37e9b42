"""Telling open pages and loops that something changed, once it is committed.

An announcement carries no data: who hears it fetches what it needs. It may therefore come twice or
for nothing, but it is never missing: a listener that fell behind or lost its connection hears
``RESYNC`` and fetches everything.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

Topic = Literal[
    "numbers",
    "sessions",
    "groups",
    "messages",
    "campaigns",
    "events",
    "templates",
    "sequences",
    "gateways",
    "organization",
    "journal",
    "alerts",
    "webhooks",
    "proofs",
    "inbound",
]

WORKER_TOPICS: Final[frozenset[str]] = frozenset(("proofs", "inbound"))
"""Something to do for a loop, and nothing that a page would show."""
_TOPICS: Final[frozenset[str]] = frozenset(get_args(Topic))
_COLLECTED: Final = "groupline.announcements"
_SUBJECTS_PER_TRANSACTION: Final = 20
_QUEUE_SIZE: Final = 256


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something of this topic changed: in one organization, or in all of them (``None``)."""

    topic: Topic | Literal["everything"]
    organization_id: UUID | None
    subject_id: UUID | None


RESYNC: Final = Announcement("everything", None, None)


async def announce(
    session: AsyncSession, topic: Topic, *, organization_id: UUID | None, subject_id: UUID | None
) -> None:
    """Announce with the caller's transaction: after its commit, or not at all."""
    collected: dict[Announcement, None] = session.info.setdefault(_COLLECTED, {})
    collected[Announcement(topic, organization_id, subject_id)] = None


def take_collected(session: AsyncSession) -> list[Announcement]:
    """What the transaction announced, condensed."""
    collected: dict[Announcement, None] = session.info.pop(_COLLECTED, {})
    return condensed(collected)


def condensed(announcements: Iterable[Announcement]) -> list[Announcement]:
    """Each once; many subjects of one topic become one."""
    by_topic: dict[Announcement, list[Announcement]] = {}
    for each in dict.fromkeys(announcements):
        whole = Announcement(each.topic, each.organization_id, None)
        by_topic.setdefault(whole, []).append(each)
    taken: list[Announcement] = []
    for whole, each_of_topic in by_topic.items():
        taken += each_of_topic if len(each_of_topic) <= _SUBJECTS_PER_TRANSACTION else [whole]
    return taken


def known_topic(word: str) -> Topic | None:
    """The topic, unless another version of Groupline invented it."""
    return cast("Topic", word) if word in _TOPICS else None


class Subscription:
    """What one listener has not heard yet. Waiting duplicates count once; iterate to hear."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[Announcement, None] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, announcement: Announcement) -> None:
        if RESYNC in self._waiting:
            return  # it will fetch everything anyway
        if announcement == RESYNC or len(self._waiting) >= self._limit:
            self._waiting = {RESYNC: None}
        else:
            self._waiting[announcement] = None
        self._changed.set()

    def close(self) -> None:
        """End the iteration once everything that waits was heard."""
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[Announcement]:
        return self

    async def __anext__(self) -> Announcement:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        announcement = next(iter(self._waiting))
        del self._waiting[announcement]
        return announcement


class Announcements:
    """The announcements of one process: what is published reaches every open subscription."""

    def __init__(self, *, queue_size: int = _QUEUE_SIZE) -> None:
        self._queue_size = queue_size
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        """``async with announcements.subscribe() as heard: async for announcement in heard: …``"""
        subscription = Subscription(self._queue_size)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def publish(self, *announcements: Announcement) -> None:
        """Never waits: a subscription that is full gets ``RESYNC`` instead."""
        self.publish_all(announcements)

    def publish_all(self, announcements: Iterable[Announcement]) -> None:
        for announcement in announcements:
            for subscription in self._subscriptions:
                subscription.put(announcement)

    def close(self) -> None:
        """End all subscriptions, also those to come: the process is stopping."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
