"""The simulator as an engine: sessions, groups and sends, on phones that exist only here."""

import asyncio
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import structlog
from fastapi import APIRouter
from starlette.types import ASGIApp

from groupline_gateway.clock import Clock
from groupline_gateway.contract import (
    Capability,
    ConnectRequest,
    DisconnectReason,
    SessionStatus,
)
from groupline_gateway.engines.faults import (
    SEND_KINDS,
    Callback,
    FaultKind,
    FaultRule,
    Faults,
    Route,
    Subject,
)
from groupline_gateway.engines.port import (
    Accepted,
    ConfirmationListener,
    EngineHealth,
    GroupView,
    Order,
    ParticipantList,
    RejectionListener,
    SendResult,
    Sent,
    SessionHealth,
    SessionView,
    Trace,
)
from groupline_gateway.engines.simulator import network, world
from groupline_gateway.engines.simulator.demo import DEMO_PHONES
from groupline_gateway.engines.simulator.edge import Edge
from groupline_gateway.engines.simulator.events import Events, EventSink, MessageRef, message_ref
from groupline_gateway.engines.simulator.options import Options
from groupline_gateway.engines.simulator.pairing import PAIRING_LASTS
from groupline_gateway.engines.simulator.parts import Parts
from groupline_gateway.engines.simulator.people import People
from groupline_gateway.engines.simulator.phones import PhoneBook
from groupline_gateway.engines.simulator.routes import simulator_router
from groupline_gateway.engines.simulator.schema import SIMULATOR_SCHEMA
from groupline_gateway.engines.simulator.schemas import Dialect
from groupline_gateway.engines.simulator.sessions import Session, SessionBook
from groupline_gateway.engines.simulator.traffic import Traffic
from groupline_gateway.errors import BadRequest, Forbidden, RateLimited, Refused
from groupline_gateway.ledger import message_id_for
from groupline_gateway.store import Store

log = structlog.get_logger()

_SEED = 1


class SimulatorEngine:
    """Implements the ``Engine`` port. ``die`` ends the process the hard way."""

    name = "simulator"
    library: str | None = None
    capabilities = tuple(Capability)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        sink: EventSink,
        *,
        die: Callable[[], None],
        on_dialect: Callable[[Dialect], None],
        demo_phones: bool = True,
    ) -> None:
        self._store = store
        self._clock = clock
        self._die = die
        self._demo_phones = demo_phones
        self._listener: RejectionListener | None = None
        self._released = asyncio.Event()
        self._sends: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self.faults = Faults(store)
        self.traffic = Traffic()
        self.options = Options(store, self.traffic, on_dialect)
        self.phones = PhoneBook(store, clock)
        self.sessions = SessionBook(store)
        self.events = Events(sink, self.faults, clock, _SEED)
        self.people = People(
            store,
            clock,
            phones=self.phones,
            sessions=self.sessions,
            events=self.events,
            reject=self._report_rejection,
        )
        self._parts = Parts(
            store,
            clock,
            self.faults,
            self.traffic,
            self.options,
            self.phones,
            self.sessions,
            self.people,
        )
        self.router: APIRouter | None = simulator_router(self._parts)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        return Edge(app, self._parts, die=self._crash, released=self._released)

    async def start(self) -> None:
        await self._store.migrate("simulator", SIMULATOR_SCHEMA)
        await self.options.load()
        await self.faults.load()
        await self.phones.load()
        await self.sessions.load()
        if self._demo_phones and not len(self.phones) and await self.options.claim_first_start():
            for phone in DEMO_PHONES:
                await self.phones.add(phone)
        for session in self.sessions:
            if session.pairing:
                self._spawn(self._expire_in_time(session))

    def begin(self) -> None:
        """Simulated phones are always there."""

    def begin_stop(self) -> None:
        self._released.set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def session_count(self) -> int:
        return len(self.sessions)

    def health(self) -> EngineHealth:
        return EngineHealth([SessionHealth(self._view(session)) for session in self.sessions])

    def on_rejected(self, listener: RejectionListener) -> None:
        self._listener = listener

    def on_confirmed(self, listener: ConfirmationListener) -> None:
        """Nothing to tell: what the simulated network has is known at once."""

    async def connect(self, request: ConnectRequest) -> SessionView:
        if request.pairing_code and request.phone is None:
            raise BadRequest("phone: is needed for a pairing code")
        session = self.sessions.find(request.session_id)
        if session is None:
            session = Session(request.session_id, SessionStatus.CONNECTING, self._clock.now())
        if session.status is SessionStatus.CONNECTED:
            return self._view(session)
        if session.connection_lost:
            await self.people.restore(session)
        elif not self._still_pairing(session, request):
            await self._start_pairing(session, request)
        return self._view(session)

    def status(self, session_id: str) -> SessionView:
        session = self.sessions.get(session_id)
        if self._pairing_is_over(session):
            session.become_disconnected(self._clock.now(), DisconnectReason.PAIRING_EXPIRED)
            self._spawn(self._tell(session))
        return self._view(session)

    async def disconnect(self, session_id: str) -> None:
        session = self.sessions.get(session_id)
        session.become_disconnected(self._clock.now(), DisconnectReason.LOGGED_OUT)
        await self.sessions.remove(session)
        await self.events.status(session)
        log.info("session.logged_out", session_id=session_id)

    async def groups(self, session_id: str) -> list[GroupView]:
        _, phone = self.sessions.get_connected(session_id)
        return await self._store.read(lambda connection: world.groups_of(connection, phone))

    async def invite(self, session_id: str, jid: str) -> str:
        _, phone = self.sessions.get_connected(session_id)
        group = await self._store.read(lambda connection: world.group_of(connection, phone, jid))
        if group.invite_code is None:
            raise Forbidden("Only an admin of the group sees its invite link")
        return group.invite_code

    async def participants(self, session_id: str, jid: str) -> ParticipantList:
        _, phone = self.sessions.get_connected(session_id)
        return await self._store.read(
            lambda connection: world.participants_of(connection, phone, jid)
        )

    async def send(self, order: Order) -> SendResult:
        _, phone = self.sessions.get_connected(order.session_id)
        self._check_restriction(phone)
        self._sends[phone] += 1
        self.traffic.note_send(sum(self._sends.values()), self._sends[phone])
        try:
            return await self._send(order, phone)
        finally:
            self._sends[phone] -= 1
            if not self._sends[phone]:
                del self._sends[phone]

    async def trace(self, client_ref: str, session_id: str) -> Trace | None:  # noqa: ARG002
        message_id = message_id_for(client_ref)
        found = await self._store.read(
            lambda connection: network.has_message(connection, message_id)
        )
        return Trace(message_id) if found else None

    async def _send(self, order: Order, phone: str) -> SendResult:
        subject = Subject(Route.SEND, order.session_id, phone)
        struck = {fault.kind: fault for fault in self.faults.draw(subject, SEND_KINDS)}
        if FaultKind.CRASH_BEFORE in struck:
            await self._crash()
        message = message_ref(order, phone, self._message_id(order))
        accepted = struck.get(FaultKind.ACCEPTED)
        rejected = struck.get(FaultKind.REJECTED_LATER)
        taken = accepted is None or accepted.callback != Callback.FAILED
        arrives = taken and rejected is None
        await self._store.write(
            lambda connection: self._to_network(connection, order, message, taken, arrives)
        )
        if FaultKind.CRASH_AFTER in struck:
            await self._crash()
        if rejected is not None:
            self._spawn(self._reject(message, rejected))
        elif arrives:
            await self._expect_receipts(message)
        if accepted is not None:
            return await self._accept(message, accepted)
        return Sent(message.message_id)

    def _to_network(
        self,
        connection: sqlite3.Connection,
        order: Order,
        message: MessageRef,
        taken: bool,
        arrives: bool,
    ) -> None:
        at = self._clock.now().timestamp()
        if arrives:
            network.deliver(connection, order, message.phone, message.message_id, at)
            return
        network.check_admission(connection, message.phone, order.recipient)
        if taken:
            network.turn_down(connection, message.message_id, at)

    async def _accept(self, message: MessageRef, fault: FaultRule) -> Accepted:
        failed = fault.callback is Callback.FAILED
        error = fault.error_text if failed else None
        if failed:
            self._report_rejection(message.client_ref, fault.error_text)
        delays = self.events.delays(fault.callback, fault.pause)
        await self.events.callback(message, delays, error=error)
        if fault.callback is Callback.EARLY:
            await self._clock.sleep(fault.pause)
        return Accepted()

    async def _reject(self, message: MessageRef, fault: FaultRule) -> None:
        await self._clock.sleep(fault.pause)
        self._report_rejection(message.client_ref, fault.error_text)
        await self.events.message_error(message, fault.error_code, fault.error_text)

    async def _expect_receipts(self, message: MessageRef) -> None:
        phone = self.phones.find(message.phone)
        if phone is not None and phone.receipts is not None:
            await self.people.auto_receipts(message, phone.receipts)

    def _report_rejection(self, client_ref: str | None, reason: str) -> None:
        if client_ref is not None and self._listener is not None:
            self._listener(client_ref, reason)

    def _message_id(self, order: Order) -> str:
        if order.client_ref is None:
            return "3EB0" + secrets.token_hex(9).upper()
        return message_id_for(order.client_ref)

    def _check_restriction(self, phone: str) -> None:
        restriction = self.phones.restriction_of(phone)
        if restriction is None:
            return
        until = f" until {restriction.until}" if restriction.until else ""
        if restriction.kind == "banned":
            raise Refused(f"WhatsApp has banned this number{until}")
        raise RateLimited(f"WhatsApp restricts this number{until}")

    async def _crash(self) -> None:
        log.warning("fault.crash")
        await self.faults.noted()
        self._die()

    def _view(self, session: Session) -> SessionView:
        return session.view(self._clock.now(), self.phones.restriction_of(session.phone))

    def _still_pairing(self, session: Session, request: ConnectRequest) -> bool:
        """A second ``/connect`` keeps the codes that are shown, unless it wants other ones."""
        wants_code = request.pairing_code and session.pairing_code is None
        return session.pairing and not self._pairing_is_over(session) and not wants_code

    def _pairing_is_over(self, session: Session) -> bool:
        started = session.pairing_started_at
        return started is not None and self._clock.now() - started >= PAIRING_LASTS

    async def _start_pairing(self, session: Session, request: ConnectRequest) -> None:
        expected = None if request.phone is None else request.phone.lstrip("+")
        session.start_pairing(self._clock.now(), expected, request.pairing_code)
        await self._tell(session)
        self._spawn(self._expire_in_time(session))
        log.info("session.pairing", session_id=session.session_id)

    async def _expire_in_time(self, session: Session) -> None:
        started = session.pairing_started_at
        while started is not None and session.pairing_started_at == started:
            left: timedelta = started + PAIRING_LASTS - self._clock.now()
            if left > timedelta(0):
                await self._clock.sleep(left.total_seconds())
                continue
            session.become_disconnected(self._clock.now(), DisconnectReason.PAIRING_EXPIRED)
            await self._tell(session)
            log.info("session.pairing_expired", session_id=session.session_id)

    async def _tell(self, session: Session) -> None:
        await self.sessions.save(session)
        await self.events.status(session)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("simulator.task_failed", exc_info=error)
