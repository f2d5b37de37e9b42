"""One session's worker, started, watched and started again for as long as it is wanted."""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from groupline_gateway.clock import Clock
from groupline_gateway.contract import DisconnectReason, SessionStatus
from groupline_gateway.engines.whatsmeow import changes
from groupline_gateway.engines.whatsmeow.changes import Next
from groupline_gateway.engines.whatsmeow.pairings import PairingFile
from groupline_gateway.engines.whatsmeow.process import WorkerProcess, resident_megabytes
from groupline_gateway.engines.whatsmeow.protocol import Frame, Happening, Op
from groupline_gateway.engines.whatsmeow.proxies import proxy_url
from groupline_gateway.engines.whatsmeow.redaction import redact
from groupline_gateway.engines.whatsmeow.sessions import Session, Wish

log = structlog.get_logger()

_LIVED_WELL = timedelta(seconds=10)
_LOADING_SECONDS = 20.0
_LOGIN_LASTS = timedelta(seconds=60)
_STARTS = frozenset({Happening.READY, Happening.UNUSABLE})
_SILENT = frozenset({Happening.LOG, Happening.RECEIPT, Happening.MEMBERSHIP, *_STARTS})
"""Words that say nothing about the session's state."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient the supervision is. Seconds."""

    first_pause: float = 0.5
    longest_pause: float = 60.0
    silence: float = 8.0
    """Without a word for so long, WhatsApp is called unreachable."""
    ping_every: float = 30.0
    ping_patience: float = 20.0
    memory_every: float = 15.0
    memory_after: float = 600.0
    """A worker younger than this is never replaced for its size."""
    tick: float = 1.0


class Runner:
    """``changed`` is told of each change of the session, ``heard`` of everything else."""

    def __init__(
        self,
        session: Session,
        file: PairingFile,
        clock: Clock,
        *,
        client: str,
        pace: Pace,
        gate: asyncio.Semaphore,
        changed: Callable[[Session], None],
        heard: Callable[[Session, Frame], None],
    ) -> None:
        self.session = session
        self.file = file
        self.restarts = 0
        self.worker: WorkerProcess | None = None
        self.sending = asyncio.Lock()
        """One send in flight per session."""
        self.untraceable = False
        """The library could not note down the message that it is sending."""
        self._clock = clock
        self._client = client
        self._pace = pace
        self._gate = gate
        self._changed = changed
        self._heard = heard
        self._dice = random.Random()  # noqa: S311 - dice
        self._kick = asyncio.Event()
        self._watchers: set[asyncio.Event] = set()
        self._loaded = asyncio.Event()
        self._ended_on_purpose = False
        self._started_at: datetime | None = None
        self._connected_at: datetime | None = None
        """Of the worker that runs now, its first connection."""
        self._asking_since: datetime | None = None
        """Since when WhatsApp owes an answer."""
        self._trying_since: datetime | None = None
        """The same, anew with each sign of life of the library."""
        self._task: asyncio.Task[None] | None = None

    # --- what others ask of it

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"runner/{self.session.session_id}")
        self._task.add_done_callback(_complain)

    def kick(self) -> None:
        """Somebody wants this session now: no more waiting."""
        self._kick.set()

    async def close(self) -> None:
        """End it and its worker for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self.worker is not None:
            await self.worker.stop()
            self.worker = None

    async def replace_worker(self) -> None:
        """Kill the worker; returns when it is dead. Another one follows at once."""
        if self.worker is not None:
            await self.retire(self.worker)

    async def retire(self, worker: WorkerProcess) -> None:
        """The same, unless another one has taken its place already."""
        if worker is self.worker:
            self._ended_on_purpose = True
        await worker.kill()

    async def until(self, wanted: Callable[[Session], bool], seconds: float) -> bool:
        """Whether the session came to be as wanted in this time."""
        news = asyncio.Event()
        self._watchers.add(news)
        try:
            async with asyncio.timeout(seconds):
                while not wanted(self.session):
                    news.clear()
                    await news.wait()
        except TimeoutError:
            return False
        finally:
            self._watchers.discard(news)
        return True

    def memory(self) -> float | None:
        return None if self.worker is None else resident_megabytes(self.worker.pid)

    def is_too_large(self, megabytes: int, now: datetime) -> bool:
        """And may be replaced: nothing is under way, and it was not started just now."""
        memory = self.memory()
        if memory is None or memory <= megabytes or not self.idle or self._started_at is None:
            return False
        return now - self._started_at >= timedelta(seconds=self._pace.memory_after)

    @property
    def idle(self) -> bool:
        return self.worker is not None and not self.worker.busy and not self.sending.locked()

    async def ping(self, patience: float) -> None:
        """Kill a worker that does not answer any more."""
        worker = self.worker
        if worker is None or not self._loaded.is_set():
            return
        try:
            async with asyncio.timeout(patience):
                await worker.ask(Op.PING)
        except TimeoutError:
            log.warning("worker.hangs", session_id=self.session.session_id)
            await worker.kill()
        except Exception as error:  # noqa: BLE001
            # A worker that is gone is seen by the loop below.
            log.debug("worker.no_answer", reason=type(error).__name__)

    def check_silence(self, now: datetime) -> None:
        """Say that WhatsApp does not answer when it has not for a while."""
        session, since = self.session, self._asking_since
        if since is None or session.status is not SessionStatus.CONNECTING:
            return
        if session.detail is None and now - since >= timedelta(seconds=self._pace.silence):
            session.detail = changes.silence_sentence(session)
            self._tell()
        tried = self._trying_since
        if tried is not None and now - tried >= _LOGIN_LASTS and self.idle:
            # The library gave up without a word, or pauses ever longer: a fresh one does better.
            self._trying_since = None
            self._end_worker()

    # --- the loop

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._until_wanted()
            try:
                lived_well = await self._live()
            except (OSError, sqlite3.Error) as error:
                lived_well = False
                self._could_not_start(error)
            failures = 0 if lived_well else failures + 1
            if self.session.wish is not Wish.NONE and self.session.retry_at is None:
                self.restarts += 1
                await self._pause(0.0 if lived_well else self._backoff(failures))

    def _could_not_start(self, error: Exception) -> None:
        """No memory, no file, a damaged pairing: tried again, in case somebody mends it."""
        session = self.session
        log.error("worker.not_started", session_id=session.session_id, reason=str(error))
        session.become(
            SessionStatus.CONNECTING, self._clock.now(), detail=changes.not_started_sentence(error)
        )
        self._tell()

    async def _until_wanted(self) -> None:
        while True:
            self._kick.clear()
            session, now = self.session, self._clock.now()
            if session.wish is not Wish.NONE:
                if session.retry_at is None or session.retry_at <= now:
                    return
                await self._pause((session.retry_at - now).total_seconds())
            else:
                await self._kick.wait()

    async def _live(self) -> bool:
        """One life of a worker; whether it ended after it had been of use."""
        self._ended_on_purpose = False
        self._loaded.clear()
        async with self._gate:
            worker = await self._spawn()
            # The start costs a second of processor time: never all at once.
            await self._until_loaded(worker)
        status = await worker.ended()
        self.worker = None
        self._note_end(worker, status)
        if self.session.reason is DisconnectReason.LOGGED_OUT:
            # The library may not have come to it. Who asks what became of a message comes first.
            async with self.sending:
                await asyncio.to_thread(self.file.remove)
        return self._ended_on_purpose or self._has_been_of_use()

    async def _until_loaded(self, worker: WorkerProcess) -> None:
        """Or until it is dead: nobody waits for what will never be."""
        loaded = asyncio.ensure_future(self._loaded.wait())
        gone = asyncio.ensure_future(worker.silent())
        try:
            await asyncio.wait(
                {loaded, gone}, timeout=_LOADING_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            loaded.cancel()
            gone.cancel()

    async def _spawn(self) -> WorkerProcess:
        session = self.session
        if session.status is SessionStatus.DISCONNECTED:
            session.become(SessionStatus.CONNECTING, self._clock.now())
            self._tell()
        if session.wish is Wish.PAIR and await asyncio.to_thread(self.file.is_paired):
            # The phone had scanned it when the worker that was to tell us died.
            session.paired = True
        if session.wish is Wish.PAIR:
            # What an earlier pairing left behind is of no use to a new one.
            await asyncio.to_thread(self.file.remove)
        await asyncio.to_thread(self.file.create)
        own_proxy = session.proxy is not None
        worker = await WorkerProcess.spawn(self._client, self._hear, own_proxy=own_proxy)
        self.worker = worker
        self._started_at = self._asking_since = self._trying_since = self._clock.now()
        self._connected_at = None
        worker.tell(
            {
                "op": Op.START,
                "directory": str(self.file.path.parent),
                "database": self.file.name,
                "proxy": proxy_url(session.proxy),
                "pairingPhone": session.pairing_phone if session.wish is Wish.PAIR else None,
            }
        )
        return worker

    def _has_been_of_use(self) -> bool:
        connected_at = self._connected_at
        return connected_at is not None and self._clock.now() - connected_at >= _LIVED_WELL

    def _note_end(self, worker: WorkerProcess, status: int) -> None:
        self._loaded.set()
        self._asking_since = None
        expected = self._ended_on_purpose or self.session.wish is Wish.NONE
        report = log.info if expected else log.warning
        report(
            "worker.ended",
            session_id=self.session.session_id,
            exit_status=status,
            last_words=[] if expected else worker.last_words,
        )
        changes.lost(self.session, self._clock.now())
        self._tell()

    def _backoff(self, failures: int) -> float:
        longest = min(self._pace.first_pause * 2.0 ** min(failures, 16), self._pace.longest_pause)
        return longest * (0.5 + self._dice.random() / 2)

    async def _pause(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        kicked = asyncio.ensure_future(self._kick.wait())
        try:
            await asyncio.wait({sleeping, kicked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            kicked.cancel()

    # --- the worker's words

    def _hear(self, frame: Frame) -> None:
        happening = Happening(frame["event"])
        if happening in _STARTS:
            self._loaded.set()
        if happening is Happening.UNTRACEABLE:
            self.untraceable = True
        if happening in _SILENT and happening is not Happening.UNUSABLE:
            self._heard(self.session, frame)
            return
        now = self._clock.now()
        if happening is Happening.CONNECT_FAILED:
            log.info("worker.connect_failed", session_id=self.session.session_id, error=_why(frame))
        self._note_progress(happening, now)
        then = changes.hear(self.session, frame, now)
        self._tell()
        if then is not Next.STAY:
            self._end_worker()

    def _note_progress(self, happening: Happening, now: datetime) -> None:
        """Since when WhatsApp owes an answer, before the session takes note of the word."""
        if happening is Happening.CONNECTED:
            self._connected_at = self._connected_at or now
        elif happening in (Happening.DISCONNECTED, Happening.LOGIN):
            self._trying_since = now
            if self.session.status is not SessionStatus.CONNECTING:
                # A connection that is refused again and again is one silence, not many.
                self._asking_since = now
        elif happening is Happening.CONNECT_FAILED:
            self._trying_since = now

    def _end_worker(self) -> None:
        if self.worker is not None:
            self.worker.kill_now()

    def _tell(self) -> None:
        self._changed(self.session)
        for news in self._watchers:
            news.set()


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("runner.failed", exc_info=error)


def _why(frame: Frame) -> str:
    """The library's own words, which are for the log only."""
    return redact(str(frame["text"]))
