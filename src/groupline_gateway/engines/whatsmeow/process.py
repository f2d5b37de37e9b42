"""A worker as the gateway sees it: a process, the socket to it, and requests in flight."""

import asyncio
import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from groupline_gateway.engines.whatsmeow.protocol import (
    HEADER,
    MAX_FRAME,
    BadFrame,
    Frame,
    Op,
    decode,
    encode,
    frame_length,
)
from groupline_gateway.engines.whatsmeow.redaction import redact

log = structlog.get_logger()

_PROGRAM = "groupline_gateway.engines.whatsmeow.worker"
_LAST_WORDS = 12
_IDLE_CHATTER = "Press Ctrl+C to exit"
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"})
_STOP_SECONDS = 2.0


class WorkerGone(Exception):
    """The process ended before it answered."""


class CallFailed(Exception):
    """The worker's answer is an error, with the library's words."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class WorkerProcess:
    """A started worker. ``heard`` takes what it tells by itself, in order."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        heard: Callable[[Frame], None],
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._heard = heard
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._next_id = 0
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._reading = asyncio.create_task(self._read())
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def spawn(
        cls, client: str, heard: Callable[[Frame], None], *, own_proxy: bool = False
    ) -> "WorkerProcess":
        """Always a fresh interpreter, never a fork of this one."""
        starting = asyncio.ensure_future(cls._start(client, heard, own_proxy=own_proxy))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Half started it would belong to nobody.
            with contextlib.suppress(OSError):
                await (await starting).kill()
            raise

    @classmethod
    async def _start(
        cls, client: str, heard: Callable[[Frame], None], *, own_proxy: bool
    ) -> "WorkerProcess":
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as until_started, theirs:
            until_started.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                _PROGRAM,
                str(theirs.fileno()),
                client,
                pass_fds=(theirs.fileno(),),
                env=_environment(own_proxy=own_proxy),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                # The interrupt key of a terminal is for the gateway, which then ends its workers.
                start_new_session=True,
            )
            until_started.pop_all()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_FRAME)
        return cls(process, reader, writer, heard)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    @property
    def last_words(self) -> list[str]:
        """The end of its standard error, redacted."""
        return list(self._last_words)

    def tell(self, frame: Frame) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(encode(frame))

    async def ask(self, op: Op, **given: Any) -> Frame:
        """Raises ``CallFailed`` or ``WorkerGone``. Who stops waiting leaves the call running."""
        if self._reading.done():
            raise WorkerGone
        self._next_id += 1
        number = self._next_id
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self.tell({"id": number, "op": op, **given})
            return _result(await answer)
        finally:
            self._waiting.pop(number, None)

    async def silent(self) -> None:
        """Once nothing more will come of it: it is dead, or about to be."""
        await asyncio.wait({self._reading})

    async def ended(self) -> int:
        """Its exit status, once it is dead and everything that it told has been heard."""
        await self.silent()
        # What no longer speaks to us is of no use, dead or not.
        self.kill_now()
        status = await self._process.wait()
        await asyncio.wait({self._listening})
        self._writer.close()
        return status

    async def stop(self) -> None:
        """Ask it to end, and end it."""
        self.tell({"op": Op.STOP})
        await asyncio.wait({self._reading}, timeout=_STOP_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self.kill_now()
        await self.ended()

    def kill_now(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _read(self) -> None:
        try:
            while (frame := await read_frame(self._reader)) is not None:
                self._take(frame)
        except BadFrame as error:
            log.error("worker.bad_frame", pid=self.pid, reason=str(error))  # noqa: TRY400
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(WorkerGone())

    def _take(self, frame: Frame) -> None:
        if "event" in frame:
            self._heard(frame)
            return
        answer = self._waiting.get(frame.get("id", 0))
        if answer is not None and not answer.done():
            answer.set_result(frame)

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while line := await _line(self._process.stderr):
            text = redact(line.decode(errors="replace"))
            if text and text != _IDLE_CHATTER:
                self._last_words.append(text)


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame; None when the other side is gone, be it in the middle of one."""
    try:
        length = frame_length(await reader.readexactly(HEADER))
        return decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _result(frame: Frame) -> Frame:
    if "error" in frame:
        raise CallFailed(str(frame["error"]))
    result: Frame = frame["ok"]
    return result


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:
        return b"(a line without an end)\n"


def _environment(*, own_proxy: bool) -> dict[str, str]:
    """Ours, with the proxies and certificates that it names, and without our own secrets.

    A session's own proxy takes the place of those: the library would go to them through it.
    """
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("GROUPLINE_") and not (own_proxy and name.upper() in _PROXIES)
    }
    return kept | {"PYTHONUNBUFFERED": "1"}


def resident_megabytes(pid: int) -> float | None:
    """Memory of a process; None where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576, 1)
