"""Rules 1 to 4 against random interleavings of reports, failures, clicks and restarts.

The gateway is the scripted one. What it says is the truth; the model remembers what was ever said,
and by whom, and every step is checked against it.
"""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from tests.integration.numbers.conftest import OWNER, PHONE, Desk, open_desk
from tests.support.cast import make_cast
from tests.support.clock import ManualClock
from tests.support.databases import Postgres
from tests.support.factories import make_event
from tests.support.scripted_gateway import Failure, contract_gateway

from groupline.db import Announcements, Database
from groupline.errors import Conflict, UpstreamError
from groupline.gateways.drivers.base import HttpPool
from groupline.models import Event, WhatsappSession
from groupline.numbers import service
from groupline.numbers.history import clean_up, delete_session
from groupline.numbers.rules import Pairing
from groupline.numbers.status_events import apply_status_event

_T = TypeVar("_T")
MakeDatabase = Callable[[], AbstractContextManager[str]]

PHONES = st.sampled_from([PHONE, "14155550136"])
WHICH = st.integers(0, 7)
WORDS = st.sampled_from(["disconnected", "logged_out", "404", "connecting", "hibernating"])
FAILURES: st.SearchStrategy[Failure] = st.sampled_from(["500", "html", "401", "route"])
SECONDS = st.sampled_from([0.5, 1.0, 2.5, 15.0, 61.0, 700.0])


class Numbers(RuleBasedStateMachine):
    """What may happen to numbers and sessions."""

    make_database: MakeDatabase

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.outside = ExitStack()
        self.inside = AsyncExitStack()
        self.url = self.outside.enter_context(self.make_database())
        self.desk = self.run(self.open())
        self.number_of: dict[UUID, UUID] = {}
        """The number of each session, once it had one."""
        self.connected: set[UUID] = set()
        self.may_end: set[UUID] = set()
        """Sessions of which somebody with the right to has said that they ended."""
        self.events: dict[UUID, UUID] = {}
        """One event for each number."""

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.loop.run_until_complete(work)

    async def open(self) -> Desk:
        database = Database(self.url, announcements=Announcements())
        self.inside.push_async_callback(database.dispose)
        gateway = await self.inside.enter_async_context(contract_gateway())
        gateway.keeps_sessions = True
        pool = await self.inside.enter_async_context(HttpPool())
        async with database.writing() as session:
            cast = await make_cast(session)
        return await open_desk(database, cast, ManualClock(), gateway, pool)

    def teardown(self) -> None:
        try:
            self.run(self.comes_to_rest())
        finally:
            self.run(self.inside.aclose())
            self.loop.close()
            self.outside.close()

    # --- what people do

    @rule()
    def connect(self) -> None:
        self.run(self.tried(self.desk.connect()))

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        desk, row = self.desk, self.pick(which)
        self.run(
            self.tried(service.cancel(desk.context, desk.organization_id, row.id, actor=OWNER))
        )

    @rule(which=WHICH)
    def disconnect(self, which: int) -> None:
        desk, row = self.desk, self.pick(which)
        self.may_end.add(row.id)
        self.run(
            self.tried(service.disconnect(desk.context, desk.organization_id, row.id, actor=OWNER))
        )

    @precondition(lambda self: self.events)
    @rule(which=WHICH)
    def reconnect(self, which: int) -> None:
        desk, numbers = self.desk, sorted(self.events)
        number_id = numbers[which % len(numbers)]
        self.run(
            self.tried(
                service.reconnect(desk.context, desk.organization_id, number_id, actor=OWNER)
            )
        )

    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        desk, row = self.desk, self.pick(which)
        self.run(
            self.tried(delete_session(desk.context, desk.organization_id, row.id, actor=OWNER))
        )

    @rule()
    def clean_up(self) -> None:
        desk = self.desk
        month = timedelta(minutes=30)
        self.run(
            clean_up(
                desk.context, desk.organization_id, older_than=month, dry_run=False, actor=OWNER
            )
        )

    async def tried(self, work: Coroutine[Any, Any, object]) -> None:
        """People are refused things; then nothing has changed, which the invariants see."""
        try:
            await work
        except (Conflict, UpstreamError):
            return

    # --- what gateways and phones do

    @rule(which=WHICH, phone=PHONES)
    def scan(self, which: int, phone: str) -> None:
        """A phone scans, or comes back, or another one is linked under the same name."""
        row = self.pick(which)
        self.desk.gateway.connects(row.gateway_session_id, phone)
        self.may_end |= self.connected  # it may be theirs that is taken over

    @rule(which=WHICH, word=WORDS)
    def say(self, which: int, word: str) -> None:
        row, gateway = self.pick(which), self.desk.gateway
        if word == "404":
            gateway.forgets(row.gateway_session_id)
        else:
            gateway.says(row.gateway_session_id, word)
        if word != "hibernating":
            self.may_end.add(row.id)

    @rule(failure=FAILURES)
    def fail(self, failure: Failure) -> None:
        self.desk.gateway.failing = failure

    @rule()
    def recover(self) -> None:
        self.desk.gateway.failing = None

    @rule(which=WHICH, word=WORDS, ago=st.sampled_from([0, 1, 30, 3000]))
    def report(self, which: int, word: str, ago: int) -> None:
        """A webhook, which may come late."""
        row = self.pick(which)
        self.may_end.add(row.id)
        self.run(self.webhook(row, word, None, ago))

    @rule(which=WHICH, phone=PHONES, ago=st.sampled_from([0, 1, 30, 3000]))
    def report_connected(self, which: int, phone: str, ago: int) -> None:
        self.may_end |= self.connected
        self.run(self.webhook(self.pick(which), "connected", phone, ago))

    @rule(which=WHICH, word=WORDS)
    def report_without_a_time(self, which: int, word: str) -> None:
        """It may be a late one: nothing that is connected ends by it."""
        self.run(self.webhook(self.pick(which), word, None, 0, is_dated=False))

    @rule(which=WHICH, phone=PHONES)
    def report_connected_without_a_time(self, which: int, phone: str) -> None:
        self.may_end |= self.connected  # a new pairing takes over by it
        self.run(self.webhook(self.pick(which), "connected", phone, 0, is_dated=False))

    async def webhook(
        self,
        row: WhatsappSession,
        word: str,
        phone: str | None,
        ago: int,
        *,
        is_dated: bool = True,
    ) -> None:
        now = self.desk.clock.now()
        async with self.desk.database.writing() as session:
            await apply_status_event(
                session,
                gateway_id=self.desk.gateway_id,
                gateway_session_id=row.gateway_session_id,
                status_word=word,
                phone=phone,
                at=now - timedelta(seconds=ago),
                now=now,
                is_dated=is_dated,
            )

    # --- what workers do; each turn is a new worker, as after a restart

    @rule(seconds=SECONDS)
    def verify(self, seconds: float) -> None:
        self.desk.clock.advance(seconds)
        self.run(self.desk.verify())

    @rule(seconds=SECONDS)
    def sweep(self, seconds: float) -> None:
        self.desk.clock.advance(seconds)
        self.run(self.desk.sweep())

    # --- what must hold

    def pick(self, which: int) -> WhatsappSession:
        """Any session; a new one where there is none (the gateway may refuse it: then in time)."""
        rows = self.run(self.desk.sessions())
        while not rows:
            self.desk.gateway.failing = None
            self.run(self.desk.connect())
            rows = self.run(self.desk.sessions())
        return rows[which % len(rows)]

    @invariant()
    def the_rules_hold(self) -> None:
        rows = self.run(self.desk.sessions())
        self.one_connected_session_per_number(rows)
        self.no_session_changes_its_number(rows)
        self.run(self.every_number_keeps_its_work(rows))
        self.no_session_ended_by_itself(rows)

    def one_connected_session_per_number(self, rows: list[WhatsappSession]) -> None:
        numbers = [row.number_id for row in rows if row.status == "connected"]
        assert len(numbers) == len(set(numbers))

    def no_session_changes_its_number(self, rows: list[WhatsappSession]) -> None:
        for row in rows:
            if row.number_id is not None:
                assert self.number_of.setdefault(row.id, row.number_id) == row.number_id
            else:
                assert row.id not in self.number_of

    async def every_number_keeps_its_work(self, rows: list[WhatsappSession]) -> None:
        async with self.desk.database.writing() as session:
            for number_id in {row.number_id for row in rows if row.number_id is not None}:
                if number_id not in self.events:
                    event = await make_event(
                        session, organization_id=self.desk.organization_id, number_id=number_id
                    )
                    self.events[number_id] = event.id
            found = await session.execute(select(Event.id, Event.number_id))
            assert {row.number_id: row.id for row in found} == self.events

    def no_session_ended_by_itself(self, rows: list[WhatsappSession]) -> None:
        """Failures of the gateway, time and restarts end nothing that was connected."""
        now_connected = {row.id for row in rows if row.status == "connected"}
        ended = {row.id for row in rows if row.id in self.connected - now_connected}
        said = {row.id for row in rows if self.polled(row) not in ("connected", "hibernating")}
        at_gateway = {row.id for row in rows if self.polled(row) == "connected"} & now_connected
        # By a scan that came before it was connected, and that was heard of only now.
        taken_over = {row.id for row in rows if row.replaced_by_id in at_gateway}
        assert ended <= self.may_end | said | taken_over
        assert self.connected <= {row.id for row in rows}, "nobody deletes what is connected"
        self.connected = now_connected

    def polled(self, row: WhatsappSession) -> str | None:
        """What the gateway answers about it, when it answers."""
        _, said = self.desk.gateway.statuses.get(row.gateway_session_id, (404, {}))
        word: str | None = said.get("status")
        return word

    async def comes_to_rest(self) -> None:
        """Once the gateway answers, what it says of the newest pairing of each phone is so."""
        desk = self.desk
        desk.gateway.failing = None
        for _ in range(4):
            await desk.period()
            await desk.sweep()
        newest: dict[UUID, WhatsappSession] = {}
        for row in await desk.sessions():
            if row.number_id is None or row.ended_reason in _FOR_GOOD:
                continue
            before = newest.get(row.number_id)
            if before is None or _pairing(row) > _pairing(before):
                newest[row.number_id] = row
        for row in newest.values():
            if self.polled(row) == "connected":
                assert row.status == "connected"


_FOR_GOOD = {"replaced", "user", "cancelled", "expired", "other_phone"}


def _pairing(row: WhatsappSession) -> Pairing:
    return Pairing(row.pairing_started_at, str(row.id))


@pytest.fixture
def make_database(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> MakeDatabase:
    if dialect == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        return server.migrated
    template: Path = request.getfixturevalue("sqlite_template")

    @contextmanager
    def sqlite() -> Any:
        path = tmp_path / "one.db"
        for old in tmp_path.glob("one.db*"):
            old.unlink()
        shutil.copyfile(template, path)
        yield f"sqlite:///{path}"

    return sqlite


def test_rules_1_to_4_hold_whatever_happens(dialect: str, make_database: MakeDatabase) -> None:
    class Here(Numbers):
        pass

    Here.make_database = staticmethod(make_database)
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=30 if dialect == "sqlite" else 10,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
