"""Rules 5 to 8 under any order of events: claims, answers, crashes, late arrivals, callbacks,
receipts, look-ups, people, lost and regained connections. Hypothesis looks for the order that
breaks them; what the gateway really did is known here, and what it says is true.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.integration.messages.outbox import PERSON
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
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
    UncertainReason,
    not_sent,
)
from groupline.messages import service
from groupline.messages.claim import Claim, claim
from groupline.messages.expire import expire
from groupline.messages.feedback import About, Source, apply_receipt, apply_send_callback
from groupline.messages.reconcile import Question, apply_answer, reserve
from groupline.messages.recover import recover
from groupline.messages.results import Result
from groupline.messages.rules import Policy
from groupline.messages.sent import store_sent
from groupline.messages.settle import settle
from groupline.models import ScheduledWhatsappMessage, WhatsappSession

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
    """``arrives`` at once, ``late`` (it may still), or ``never``."""
    answered: bool = False
    lost: bool = False
    """Its worker is gone: nobody hears the answer."""


class Outboxes(RuleBasedStateMachine):
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
        self.carried: set[str] = set()
        self.ids: list[UUID] = []
        self.sessions: list[tuple[UUID, str]] = []

    def teardown(self) -> None:
        self.loop.run_until_complete(self.database.dispose())
        self.loop.close()
        self.directory.cleanup()

    def write(self, work: Callable[[AsyncSession], Coroutine[Any, Any, T]]) -> T:
        async def in_transaction() -> T:
            async with self.database.writing() as session:
                return await work(session)

        return self.loop.run_until_complete(in_transaction())

    def rows(self) -> list[ScheduledWhatsappMessage]:
        async def read(session: AsyncSession) -> list[ScheduledWhatsappMessage]:
            return list(await session.scalars(select(ScheduledWhatsappMessage)))

        return self.write(read)

    @initialize(knows_references=st.booleans())
    def fill(self, knows_references: bool) -> None:
        async def make(session: AsyncSession) -> None:
            self.organization_id = (await make_organization(session)).id
            capabilities = ["client_ref"] if knows_references else []
            gateway = await make_gateway(session, capabilities=capabilities, max_in_flight=2)
            self.gateway_id = gateway.id
            own: dict[str, Any] = {"organization_id": self.organization_id}
            for n in range(NUMBERS):
                number = await make_number(session, **own, pace_seconds=float(n))
                pairing = await make_session(
                    session, **own, number_id=number.id, gateway_id=gateway.id
                )
                self.sessions.append((pairing.id, pairing.gateway_session_id))
                group = await make_group(session, **own)
                await make_membership(session, **own, number_id=number.id, group_id=group.id)
                for m in range(MESSAGES):
                    message = await make_message(
                        session,
                        **own,
                        number_id=number.id,
                        group_id=group.id,
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
        ref = request.claim.client_ref
        if request.claim.carries_ref and ref in self.carried:
            return
        self.carried.add(ref)
        self.copies[request.claim.id] += 1

    def evidence(self, request: Request) -> str:
        return f"3EB0{request.claim.client_ref}"

    def open(self) -> list[Request]:
        return [each for each in self.requests if not each.answered and not each.lost]

    # --- workers

    @rule(fates=st.lists(st.sampled_from(["arrives", "late", "never"]), min_size=2, max_size=2))
    def claim(self, fates: list[str]) -> None:
        """A worker takes what is due, and its requests start."""
        claims = self.loop.run_until_complete(
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
        self.write(lambda session: self.store(session, refused))
        for each, fate in zip((c for c in claims if c.refusal is None), fates, strict=False):
            request = Request(each, fate)
            self.requests.append(request)
            if fate == "arrives":
                self.arrive(request)

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
        result = Result(request.claim, outcome, 0.5)
        if isinstance(outcome, Sent) and self.store_sent(result):
            return
        self.write(lambda session: settle(session, [result], now=self.now, policy=POLICY))

    def store_sent(self, result: Result) -> bool:
        return self.loop.run_until_complete(store_sent(self.database, [result], self.now))

    def truthful(self, request: Request) -> list[SendOutcome]:
        unclear: list[SendOutcome] = [
            Accepted(),
            Uncertain(UncertainReason.NO_ANSWER, None, ""),
            Uncertain(UncertainReason.SERVER_ERROR, 500, ""),
        ]
        if request.fate == "arrives":
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
        if question.client_ref in self.carried:
            return Found(f"3EB0{question.client_ref}", by_client_ref=True)
        return NotFound()

    # --- what comes by itself, late, twice and out of order

    @rule(pick=st.integers(0, 100), named=st.booleans())
    def callback(self, pick: int, named: bool) -> None:
        arrived = [each for each in self.requests if each.fate == "arrives"]
        if not arrived:
            return
        request = arrived[pick % len(arrived)]
        about = About(
            client_ref=request.claim.client_ref if named else None,
            message_id=self.evidence(request),
            group_jid=request.claim.group_jid,
        )
        self.write(lambda session: self.report(session, request, about, request.claim.started_at))

    async def report(
        self, session: AsyncSession, request: Request, about: About, at: datetime
    ) -> None:
        await apply_send_callback(
            session,
            Source(self.gateway_id, request.claim.gateway_session_id),
            about,
            event="sent",
            error=None,
            at=at,
            now=self.now,
            policy=POLICY,
        )

    @rule(pick=st.integers(0, 100), reader=st.sampled_from(["", "919900000001", "7@lid"]))
    def receipt(self, pick: int, reader: str) -> None:
        arrived = [each for each in self.requests if each.fate == "arrives"]
        if not arrived:
            return
        request = arrived[pick % len(arrived)]

        async def tell(session: AsyncSession) -> None:
            await apply_receipt(
                session,
                Source(self.gateway_id, request.claim.gateway_session_id),
                About(message_id=self.evidence(request)),
                kind="read",
                reader=reader,
                at=self.now,
                now=self.now,
            )

        self.write(tell)

    # --- people

    def choose(self, pick: int, *statuses: str) -> ScheduledWhatsappMessage | None:
        found = [row for row in self.rows() if row.status in statuses]
        return found[pick % len(found)] if found else None

    @rule(pick=st.integers(0, 100))
    def cancel(self, pick: int) -> None:
        row = self.choose(pick, "pending", "failed")
        if row is not None:
            self.decide(service.cancel, row)

    @rule(pick=st.integers(0, 100))
    def send_again(self, pick: int) -> None:
        row = self.choose(pick, "failed", "expired")
        if row is not None:
            self.decide(service.send_again, row)

    @rule(pick=st.integers(0, 100))
    def resolve(self, pick: int) -> None:
        """A person looks into the group once nothing can arrive there any more."""
        row = self.choose(pick, "uncertain")
        if row is None or any(
            each.claim.id == row.id and each.fate == "late" for each in self.requests
        ):
            return
        self.decide(service.resolve, row, arrived=self.copies[row.id] > 0)

    def decide(
        self, what: Callable[..., Coroutine[Any, Any, Any]], row: ScheduledWhatsappMessage, **k: Any
    ) -> None:
        self.write(
            lambda session: what(
                session, self.organization_id, row.id, actor=PERSON, now=self.now, **k
            )
        )

    # --- connections

    @rule(which=st.integers(0, NUMBERS - 1), connected=st.booleans())
    def connection(self, which: int, connected: bool) -> None:
        facts: dict[str, Any] = (
            {
                "status": "connected",
                "connected_at": self.now,
                "ended_reason": None,
                "disconnected_at": None,
            }
            if connected
            else {
                "status": "disconnected",
                "ended_reason": "disconnected",
                "disconnected_at": self.now,
            }
        )
        session_id = self.sessions[which][0]

        async def change(session: AsyncSession) -> None:
            await session.execute(
                update(WhatsappSession).where(WhatsappSession.id == session_id).values(**facts)
            )

        self.write(change)

    # --- what must hold at every moment

    @invariant()
    def nothing_arrives_twice(self) -> None:
        assert not [each for each, count in self.copies.items() if count > 1], "rule 6"

    @invariant()
    def sent_is_true(self) -> None:
        for row in self.rows() if self.ids else ():
            if row.status == "sent":
                assert self.copies[row.id] == 1, "rule 5: it did not arrive"
                assert row.gateway_message_id or row.resolved_by, "rule 5: no evidence"

    @invariant()
    def one_in_flight_per_number_and_few_per_gateway(self) -> None:
        under_way = Counter(row.number_id for row in self.rows() if row.status == "sending")
        assert all(count == 1 for count in under_way.values()), "rule 7"
        assert sum(under_way.values()) <= 2, "rule 7: the cap of the gateway"

    @invariant()
    def none_is_lost(self) -> None:
        assert len(self.rows()) == len(self.ids)


@pytest.fixture
def machine(sqlite_template: Path) -> type[Outboxes]:
    Outboxes.template = sqlite_template
    return Outboxes


def test_no_order_of_events_breaks_the_rules(machine: type[Outboxes]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
