"""A small world of numbers, gateways and workers, in which Hypothesis may do what it likes."""

import asyncio
import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.clock import NOW
from tests.support.factories import (
    make_gateway,
    make_group,
    make_membership,
    make_message,
    make_number,
    make_organization,
    make_session,
)

from groupline.db import Announcements, Database
from groupline.gateways.outcomes import (
    Accepted,
    Found,
    LookupAnswer,
    LookupUnknown,
    NotFound,
    NotSent,
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
    UncertainReason,
    not_sent,
)
from groupline.messages.claim import Claim, claim
from groupline.messages.expire import expire
from groupline.messages.reconcile import Question, apply_answer, reserve
from groupline.messages.recover import recover
from groupline.messages.results import Result
from groupline.messages.rules import Policy
from groupline.messages.sent import store_sent
from groupline.messages.settle import settle
from groupline.models import (
    ScheduledWhatsappMessage,
)

T = TypeVar("T")
POLICY = Policy(looks_end=timedelta(days=30))
LEASE = timedelta(seconds=60)
ARRIVES_WITHIN = timedelta(seconds=35)
MESSAGES, NUMBERS = 5, 2


@dataclass
class Request:
    """One request as the gateway sees it."""

    claim: Claim
    fate: str
    """``arrives`` at once, ``late`` (it may still), or ``never``; or the gateway hands it over, and
    WhatsApp rejects it: ``rejected``."""
    refused: bool = False
    """The gateway has said that it does not send it."""
    answered: bool = False
    lost: bool = False
    """Its worker is gone: nobody hears the answer."""
    reported: bool = False
    """Before its answer there was a callback, a receipt or a rejection: its fate is known."""


class World(RuleBasedStateMachine):
    """Gateways that know what they did, workers that come and go, and time."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "outbox.db"
        shutil.copyfile(self.template, path)
        self.database = Database(f"sqlite:///{path}", announcements=Announcements())
        self.now = NOW
        self.requests: list[Request] = []
        self.copies: Counter[UUID] = Counter()
        self.denied: set[tuple[UUID, str | None]] = set()
        """What WhatsApp has said that it rejected, by message and its id there."""
        self.left: set[tuple[UUID, UUID]] = set()
        """Numbers and the groups that they have left."""
        self.communities: set[UUID] = set()
        self.numbers: list[UUID] = []
        self.groups: list[UUID] = []
        self.gateways: list[UUID] = []
        self.caps: dict[UUID, int] = {}
        self.carried: set[tuple[UUID, str]] = set()
        self.ids: list[UUID] = []
        self.sessions: list[tuple[UUID, str]] = []
        self.known: list[ScheduledWhatsappMessage] | None = None
        """What was read of the messages since the last write."""

    def teardown(self) -> None:
        self.loop.run_until_complete(self.database.dispose())
        self.loop.close()
        self.directory.cleanup()

    def write(self, work: Callable[[AsyncSession], Coroutine[Any, Any, T]]) -> T:
        async def in_transaction() -> T:
            async with self.database.writing() as session:
                return await work(session)

        return self.carry_out(in_transaction())

    def carry_out(self, work: Coroutine[Any, Any, T]) -> T:
        self.known = None
        return self.loop.run_until_complete(work)

    def rows(self) -> list[ScheduledWhatsappMessage]:
        async def read() -> list[ScheduledWhatsappMessage]:
            statement = select(ScheduledWhatsappMessage).order_by(ScheduledWhatsappMessage.id)
            async with self.database.reading() as session:
                return list(await session.scalars(statement))

        if self.known is None:
            self.known = self.loop.run_until_complete(read())
        return self.known

    @initialize(
        knows_references=st.tuples(st.booleans(), st.booleans()),
        caps=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    )
    def fill(self, knows_references: tuple[bool, bool], caps: tuple[int, int]) -> None:
        """Two numbers that stand in for each other, two groups, two gateways."""

        async def make(session: AsyncSession) -> None:
            self.organization_id = (await make_organization(session)).id
            for knows, cap in zip(knows_references, caps, strict=True):
                capabilities = ["client_ref"] if knows else []
                gateway = await make_gateway(session, capabilities=capabilities, max_in_flight=cap)
                self.gateways.append(gateway.id)
                self.caps[gateway.id] = cap
            own: dict[str, Any] = {"organization_id": self.organization_id}
            for n in range(NUMBERS):
                number = await make_number(session, **own, pace_seconds=float(n))
                self.numbers.append(number.id)
                pairing = await make_session(
                    session, **own, number_id=number.id, gateway_id=self.gateways[0]
                )
                self.sessions.append((pairing.id, pairing.gateway_session_id))
                self.groups.append((await make_group(session, **own)).id)
            for number_id, group_id in itertools.product(self.numbers, self.groups):
                await make_membership(session, **own, number_id=number_id, group_id=group_id)
            for n, m in itertools.product(range(NUMBERS), range(MESSAGES)):
                message = await make_message(
                    session,
                    **own,
                    number_id=self.numbers[n],
                    group_id=self.groups[n],
                    priority=m % 3,
                    content="Hi {name}" if m == 4 else "Hi",
                    expires_at=NOW + timedelta(minutes=2 if m == 3 else 600),
                )
                self.ids.append(message.id)

        self.write(make)

    # --- the gateway

    def arrive(self, request: Request) -> None:
        """A copy reaches the group, unless the gateway knows that it has sent this one."""
        request.fate = "arrives"
        if not self.repeats(request):
            self.copies[request.claim.id] += 1

    def reject(self, request: Request) -> None:
        """WhatsApp takes it from the gateway and gives it to nobody."""
        if self.repeats(request):
            request.fate = "arrives"

    def repeats(self, request: Request) -> bool:
        """Whether its gateway has sent this one before, and knows."""
        key = (request.claim.gateway_id, request.claim.client_ref)
        known = request.claim.carries_ref and key in self.carried
        self.carried.add(key)
        return known

    def evidence(self, request: Request) -> str:
        """Derived from the reference, by those that have it; else each attempt has its own."""
        ref = request.claim.client_ref
        return f"3EB0{ref}" if request.claim.carries_ref else f"3EB0{request.claim.token}"

    def open(self) -> list[Request]:
        return [each for each in self.requests if not each.answered and not each.lost]

    def under_way(self) -> list[Request]:
        """What gateways are still busy with as far as anybody knows, whether or not its worker
        lives."""
        return [
            each
            for each in self.requests
            if not each.answered
            and not each.reported
            and each.claim.started_at + ARRIVES_WITHIN >= self.now
        ]

    # --- workers

    @rule(
        fates=st.lists(
            st.sampled_from(["arrives", "late", "never", "rejected"]), min_size=2, max_size=2
        )
    )
    def claim(self, fates: list[str]) -> None:
        """A worker takes what is due, and its requests start."""
        self.now += timedelta(seconds=1)  # two attempts never begin in the same second
        claims = self.carry_out(
            claim(
                self.database,
                worker="w",
                now=self.now,
                lease=LEASE,
                limit=2,
                roll=0.5,
                policy=POLICY,
            )
        )
        known = {row.id: row for row in self.rows()}
        refused = [each for each in claims if each.refusal is not None]
        for each in claims:
            assert known[each.id].expires_at > self.now, "rule 8: it is too late"  # type: ignore[operator]
            if each.refusal is None:
                assert "{" not in each.content, "rule 8: a variable is left"
                group_id = known[each.id].group_id
                assert (each.number_id, group_id) not in self.left, "rule 8: not in the group"
                assert group_id not in self.communities, "rule 8: a community"
        self.write(lambda session: self.store(session, refused))
        for each, fate in zip((c for c in claims if c.refusal is None), fates, strict=False):
            request = Request(each, fate)
            self.requests.append(request)
            if fate == "arrives":
                self.arrive(request)
            if fate == "rejected":
                self.reject(request)

    async def store(self, session: AsyncSession, refused: list[Claim]) -> None:
        results = [Result(each, each.refusal, 0.5) for each in refused if each.refusal]
        await settle(session, results, now=self.now, policy=POLICY)

    @precondition(lambda self: self.open())
    @rule(pick=st.integers(0, 100), word=st.integers(0, 100))
    def answer(self, pick: int, word: int) -> None:
        """The gateway answers, truthfully or unclearly, and the worker stores it."""
        request = self.open()[pick % len(self.open())]
        request.answered = True
        said = self.truthful(request)
        outcome = said[word % len(said)]
        request.refused = isinstance(outcome, NotSent)
        result = Result(request.claim, outcome, 0.5)
        if isinstance(outcome, Sent) and self.store_sent(result):
            return
        self.write(lambda session: settle(session, [result], now=self.now, policy=POLICY))

    def store_sent(self, result: Result) -> bool:
        return self.carry_out(store_sent(self.database, [result], self.now))

    def truthful(self, request: Request) -> list[SendOutcome]:
        unclear: list[SendOutcome] = [
            Accepted(),
            Uncertain(UncertainReason.NO_ANSWER, None, ""),
            Uncertain(UncertainReason.SERVER_ERROR, 500, ""),
        ]
        if request.fate in ("arrives", "rejected"):
            return [Sent(self.evidence(request)), Accepted(self.evidence(request)), *unclear]
        if request.fate == "never":
            return [*(not_sent(reason, "") for reason in NotSentReason), *unclear]
        return unclear

    @precondition(lambda self: self.open())
    @rule()
    def crash(self) -> None:
        """All workers die with what they have not stored."""
        for request in self.open():
            request.lost = True

    @rule(pick=st.integers(0, 100))
    def arrive_late(self, pick: int) -> None:
        late = [each for each in self.requests if each.fate == "late"]
        if late:
            self.arrive(late[pick % len(late)])

    # --- time and the other loops

    @rule(seconds=st.sampled_from([1, 4, 16, 61, 130, 700]))
    def time_goes_by(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        for request in self.requests:
            over = request.claim.started_at + ARRIVES_WITHIN < self.now
            if over and request.fate == "late":
                request.fate = "never"
            if over and not request.answered:
                request.lost = True  # no worker waits longer than that

    @rule()
    def recover(self) -> None:
        self.write(lambda session: recover(session, now=self.now, policy=POLICY))

    @rule()
    def expire(self) -> None:
        self.write(lambda session: expire(session, now=self.now))

    @rule(silent=st.booleans())
    def reconcile(self, silent: bool) -> None:
        questions = self.write(lambda session: reserve(session, now=self.now))
        for question in questions:
            answer = LookupUnknown("") if silent else self.look_up(question)
            self.write(partial(self.store_answer, question=question, answer=answer))

    async def store_answer(
        self, session: AsyncSession, question: Question, answer: LookupAnswer
    ) -> None:
        await apply_answer(session, question, answer, now=self.now, policy=POLICY)

    def look_up(self, question: Question) -> LookupAnswer:
        if not question.carried_ref:
            return LookupUnknown("forgotten")
        if (question.gateway_id, question.client_ref) in self.carried:
            return Found(f"3EB0{question.client_ref}", by_client_ref=True)
        return NotFound()
