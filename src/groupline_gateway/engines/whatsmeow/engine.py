"""Real WhatsApp as an engine: every session a worker process, every message sent at most once."""

import asyncio
import importlib.metadata
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from groupline_gateway.engines.port import (
    ConfirmationListener,
    EngineHealth,
    GroupView,
    Order,
    ParticipantList,
    RejectionListener,
    SendResult,
    SessionHealth,
    SessionView,
    Trace,
)
from groupline_gateway.engines.whatsmeow.events import Events, EventSink, status_event
from groupline_gateway.engines.whatsmeow.media import MediaFetcher
from groupline_gateway.engines.whatsmeow.pairings import PairingGone, Pairings
from groupline_gateway.engines.whatsmeow.process import CallFailed, WorkerGone
from groupline_gateway.engines.whatsmeow.protocol import Frame, Happening, Op
from groupline_gateway.engines.whatsmeow.proxies import check_proxy
from groupline_gateway.engines.whatsmeow.questions import Questions
from groupline_gateway.engines.whatsmeow.runner import Pace, Runner
from groupline_gateway.engines.whatsmeow.secret import message_secret
from groupline_gateway.engines.whatsmeow.sending import Sender
from groupline_gateway.engines.whatsmeow.sessions import (
    WHATSMEOW_SCHEMA,
    Session,
    SessionBook,
    Wish,
)
from groupline_gateway.errors import BadRequest, Conflict, FateUnknown, NotConnected
from groupline_gateway.store import Store

log = structlog.get_logger()

CLIENT = "groupline_gateway.engines.whatsmeow.client:open_client"
_STARTING_AT_ONCE = 3
_LOG_OUT_SECONDS = 15.0
_REMEMBERED_RECEIPTS = 20_000


@dataclass(frozen=True, slots=True)
class Options:
    max_sessions: int = 50
    memory_mb: int = 250
    send_seconds: float = 28.0
    max_media_mb: int = 100
    private_media: bool = False
    client: str = CLIENT
    """Module and function that the workers open their WhatsApp client with."""
    pace: Pace = field(default_factory=Pace)


class WhatsmeowEngine:
    """Implements the ``Engine`` port."""

    name = "whatsmeow"
    library: str | None = f"neonize {importlib.metadata.version('neonize')}"
    capabilities = (
        Capability.CLIENT_REF,
        Capability.SIGNED_WEBHOOKS,
        Capability.STATUS_EVENTS,
        Capability.RECEIPTS,
        Capability.PAIRING_CODE,
        Capability.RESTRICTION_INFO,
        Capability.SESSIONS,
    )
    router: APIRouter | None = None

    def __init__(
        self, store: Store, clock: Clock, sink: EventSink, pairings: Pairings, options: Options
    ) -> None:
        self._store = store
        self._clock = clock
        self._options = options
        self._pairings = pairings
        self._events = Events(sink, clock)
        self._sessions = SessionBook(store)
        self._runners: dict[str, Runner] = {}
        self._gate = asyncio.Semaphore(_STARTING_AT_ONCE)
        self._confirm: ConfirmationListener = lambda _: None
        self._received: OrderedDict[str, None] = OrderedDict()
        """Ids of messages that somebody has, the latest ones."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._questions = Questions(self._connected)
        self._sender = Sender(
            MediaFetcher(
                pairings.directory.parent / "media",
                largest=options.max_media_mb * 1_048_576,
                private=options.private_media,
            ),
            seconds=options.send_seconds,
            is_received=self._received.__contains__,
            restricted=self._changed,
        )

    # --- the life of the engine

    def wrap(self, app: ASGIApp) -> ASGIApp:
        return app

    async def start(self) -> None:
        await self._store.migrate("whatsmeow", WHATSMEOW_SCHEMA)
        await asyncio.to_thread(self._pairings.prepare)
        await self._sessions.load()

    def begin(self) -> None:
        now = self._clock.now()
        for session in self._sessions:
            if session.wish is not Wish.NONE and session.retry_at is None:
                session.become(SessionStatus.CONNECTING, now)
            self._run(session)
        self._watcher = asyncio.create_task(self._watch(), name="whatsmeow/watch")
        self._watcher.add_done_callback(_complain)

    def begin_stop(self) -> None:
        """Requests under way are answered while the server drains."""

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        await asyncio.gather(*(runner.close() for runner in self._runners.values()))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def session_count(self) -> int:
        return len(self._sessions)

    def health(self) -> EngineHealth:
        now = self._clock.now()
        return EngineHealth(
            [
                SessionHealth(runner.session.view(now), runner.memory(), runner.restarts)
                for runner in self._runners.values()
            ],
            limit=self._options.max_sessions,
            memory_limit_mb=self._options.memory_mb,
        )

    def on_rejected(self, listener: RejectionListener) -> None:
        """WhatsApp's late errors go to Groupline; a message that left is never sent again here."""

    def on_confirmed(self, listener: ConfirmationListener) -> None:
        self._confirm = listener

    # --- sessions

    async def connect(self, request: ConnectRequest) -> SessionView:
        if request.pairing_code and request.phone is None:
            raise BadRequest("phone: is needed for a pairing code")
        if request.proxy is not None:
            check_proxy(request.proxy)
        runner = self._runners.get(request.session_id)
        if runner is None and self._sessions.find(request.session_id) is not None:
            raise Conflict("This session is being logged out at this moment")
        if runner is None:
            runner = await self._add(request)
        session = runner.session
        if session.status is not SessionStatus.CONNECTED:
            await self._connect(runner, request)
        return session.view(self._clock.now())

    async def _add(self, request: ConnectRequest) -> Runner:
        limit = self._options.max_sessions
        if len(self._sessions) >= limit:
            carried = "1 session" if limit == 1 else f"{limit} sessions"
            raise Conflict(
                f"This gateway carries {carried}, which is its limit "
                "(GROUPLINE_GATEWAY_MAX_SESSIONS)"
            )
        session = Session(request.session_id, SessionStatus.CONNECTING, self._clock.now())
        _take_wishes(session, request)
        self._sessions.add(session)
        runner = self._run(session)
        await self._sessions.save(session)
        await self._events.status(status_event(session, self._clock.now()))
        log.info("session.pairing", session_id=session.session_id)
        return runner

    async def _connect(self, runner: Runner, request: ConnectRequest) -> None:
        """Bring a session back, or begin its pairing anew; one that is under way stays."""
        session = runner.session
        changed = _take_wishes(session, request)
        if session.wish is Wish.NONE or session.retry_at is not None:
            session.become(SessionStatus.CONNECTING, self._clock.now())
            self._changed(session)
        elif changed:
            await runner.replace_worker()
        runner.kick()

    def status(self, session_id: str) -> SessionView:
        return self._sessions.get(session_id).view(self._clock.now())

    async def disconnect(self, session_id: str) -> None:
        session = self._sessions.get(session_id)
        runner = self._runners.get(session_id)
        if runner is not None and session.paired:
            await self._log_out(runner)
        if runner is None or self._runners.pop(session_id, None) is None:
            return  # somebody else asked at the same time
        await runner.close()
        await asyncio.to_thread(runner.file.remove)
        await self._sessions.remove(session)
        session.become(
            SessionStatus.DISCONNECTED, self._clock.now(), reason=DisconnectReason.LOGGED_OUT
        )
        await self._events.status(status_event(session, self._clock.now()))
        log.info("session.logged_out", session_id=session_id)

    async def _log_out(self, runner: Runner) -> None:
        """Until WhatsApp has removed the device; else a phone would list it for ever."""
        session = runner.session
        deadline = self._clock.now() + timedelta(seconds=_LOG_OUT_SECONDS)
        if session.status is SessionStatus.DISCONNECTED:
            session.become(SessionStatus.CONNECTING, self._clock.now())
        runner.kick()
        await runner.until(_is_settled, _LOG_OUT_SECONDS)
        if not session.paired:
            return
        if session.status is not SessionStatus.CONNECTED or runner.worker is None:
            why = session.detail or "WhatsApp does not answer."
            raise NotConnected(f"The session is not connected, so it cannot be logged out: {why}")
        try:
            async with asyncio.timeout((deadline - self._clock.now()).total_seconds()):
                await runner.worker.ask(Op.LOGOUT)
        except (CallFailed, WorkerGone, TimeoutError) as error:
            if session.paired:
                raise NotConnected("WhatsApp did not confirm the log-out; try it again") from error

    # --- questions and messages

    async def groups(self, session_id: str) -> list[GroupView]:
        return await self._questions.groups(session_id)

    async def invite(self, session_id: str, jid: str) -> str:
        return await self._questions.invite(session_id, jid)

    async def participants(self, session_id: str, jid: str) -> ParticipantList:
        return await self._questions.participants(session_id, jid)

    async def send(self, order: Order) -> SendResult:
        return await self._sender.send(self._connected(order.session_id), order)

    async def trace(self, client_ref: str, session_id: str) -> Trace | None:
        file = self._pairings.of(session_id)
        try:
            found = await asyncio.to_thread(file.find_message, message_secret(client_ref))
        except PairingGone as error:
            raise FateUnknown from error
        return None if found is None else Trace(found, certain=found in self._received)

    def _connected(self, session_id: str) -> Runner:
        session = self._sessions.get(session_id)
        if session.status is not SessionStatus.CONNECTED:
            raise NotConnected
        runner = self._runners.get(session_id)
        if runner is None:
            raise NotConnected
        return runner

    # --- what happens

    def _run(self, session: Session) -> Runner:
        runner = Runner(
            session,
            self._pairings.of(session.session_id),
            self._clock,
            client=self._options.client,
            pace=self._options.pace,
            gate=self._gate,
            changed=self._changed,
            heard=self._heard,
        )
        self._runners[session.session_id] = runner
        runner.start()
        return runner

    def _changed(self, session: Session) -> None:
        if self._sessions.find(session.session_id) is not session:
            return
        self._sessions.save_soon(session)
        self._spawn(self._events.status(status_event(session, self._clock.now())))

    def _heard(self, session: Session, frame: Frame) -> None:
        match Happening(frame["event"]):
            case Happening.RECEIPT:
                self._spawn(self._receipt(session, frame))
            case Happening.MEMBERSHIP:
                self._spawn(self._events.membership(session, frame))
            case Happening.LOG:
                _log_library(session, frame)
            case _:
                pass

    async def _receipt(self, session: Session, frame: Frame) -> None:
        await self._note_received(frame["messageIds"])
        await self._events.receipt(session, frame)

    async def _note_received(self, message_ids: list[str]) -> None:
        for message_id in message_ids:
            self._received[message_id] = None
            self._received.move_to_end(message_id)
            if len(self._received) > _REMEMBERED_RECEIPTS:
                self._received.popitem(last=False)
            message = self._confirm(message_id)
            if message is not None:
                await self._events.confirmed(message, message_id)

    # --- watching

    async def _watch(self) -> None:
        pace = self._options.pace
        next_ping = next_memory = self._clock.now()
        while True:
            await self._clock.sleep(pace.tick)
            now = self._clock.now()
            for runner in list(self._runners.values()):
                runner.check_silence(now)
            if now >= next_ping:
                next_ping = now + timedelta(seconds=pace.ping_every)
                for runner in list(self._runners.values()):
                    self._spawn(runner.ping(pace.ping_patience))
            if now >= next_memory:
                next_memory = now + timedelta(seconds=pace.memory_every)
                await self._replace_too_large(now)

    async def _replace_too_large(self, now: datetime) -> None:
        for runner in list(self._runners.values()):
            if runner.is_too_large(self._options.memory_mb, now):
                session_id = runner.session.session_id
                log.warning("worker.too_large", session_id=session_id, memory_mb=runner.memory())
                await runner.replace_worker()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        _complain(task)


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("whatsmeow.task_failed", exc_info=error)


def _take_wishes(session: Session, request: ConnectRequest) -> bool:
    """Whether the worker that runs now was started with other ones."""
    phone = None if request.phone is None else request.phone.lstrip("+")
    pairing_phone = phone if request.pairing_code and not session.paired else None
    proxy = request.proxy or session.proxy
    wants_code = pairing_phone is not None and pairing_phone != session.pairing_phone
    changed = wants_code or proxy != session.proxy
    session.pairing_phone = pairing_phone or session.pairing_phone
    session.proxy = proxy
    return changed


def _is_settled(session: Session) -> bool:
    return session.status is SessionStatus.CONNECTED or not session.paired


def _log_library(session: Session, frame: Frame) -> None:
    """Its text was redacted in the worker."""
    report = log.error if frame["level"] in ("error", "critical") else log.warning
    report(
        "whatsmeow.says",
        session_id=session.session_id,
        source=frame["source"],
        said=frame["text"],
    )
