"""Runs the web server and the worker in this process until it is told to stop."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn

from groupline.app import create_app
from groupline.cli import interpreter
from groupline.cli.meanwhile import Meanwhile
from groupline.db import migrate
from groupline.heartbeat import WorkerWatch, expect_worker, process_name
from groupline.runtime import Runtime, open_runtime
from groupline.settings import PREFIX, Settings, SettingsError
from groupline.worker.loop import Loop, keep_running
from groupline.worker.loops import loops_of
from groupline.worker.supervisor import Supervisor

logger = structlog.get_logger()

GRACE_SECONDS = 10
DATABASE_SECONDS = 60.0
"""A machine that starts does so in any order: the database may need a while longer than we."""
_WATCH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    web: bool
    worker: bool


async def serve(settings: Settings, parts: Parts) -> None:
    """One process of an installation whose database somebody keeps up to date."""
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(listening(settings)) if parts.web else None
        runtime = await stack.enter_async_context(waited_for(settings, listener))
        await _require_current_schema(runtime)
        await run_parts(runtime, listener, worker=parts.worker)


@contextlib.asynccontextmanager
async def waited_for(settings: Settings, listener: socket.socket | None) -> AsyncIterator[Runtime]:
    """What a process runs on, once its database is there; who asks before is told to come again."""
    async with contextlib.AsyncExitStack() as stack:
        with Meanwhile(listener) as meanwhile:
            runtime = await stack.enter_async_context(
                open_runtime(settings, wait_seconds=DATABASE_SECONDS, waiting=meanwhile.begin)
            )
        yield runtime


async def _require_current_schema(runtime: Runtime) -> None:
    if await migrate.needed(runtime.database):
        raise SettingsError(
            f"{PREFIX}DATABASE_URL: the schema is not what this build needs; "
            "run 'groupline db upgrade' first"
        )


async def run_parts(
    runtime: Runtime,
    listener: socket.socket | None,
    *,
    worker: bool,
    before_work: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """The web server, if there is a ``listener``, and the worker, after ``before_work``: when one
    ends, the other is stopped, and then this returns."""
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    async with runtime.database.writing() as session:
        await expect_worker(session, process_name(), runtime.clock.now())
    async with asyncio.TaskGroup() as group:
        if worker:
            group.create_task(_run_worker(runtime, stopping, before_work))
        if listener is not None:
            watch = WorkerWatch(runtime.database, runtime.announcements, runtime.clock)
            loop = Loop("worker_watch", watch.run_once, idle_seconds=_WATCH_SECONDS)
            group.create_task(keep_running(loop, runtime.clock, stopping))
            group.create_task(_run_web(runtime, listener, stopping, ready, alone=not worker))


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)


async def _run_worker(
    runtime: Runtime,
    stopping: asyncio.Event,
    before_work: Callable[[], Coroutine[Any, Any, None]] | None,
) -> None:
    if before_work is not None:
        await unless(stopping, before_work())
    async with loops_of(runtime) as loops:
        interpreter.tune()
        await Supervisor(runtime, loops).run(stopping)


async def unless(stopping: asyncio.Event, wait: Coroutine[Any, Any, None]) -> None:
    """Waits, but not for what no longer matters."""
    waits: list[asyncio.Task[Any]] = [
        asyncio.create_task(wait),
        asyncio.create_task(stopping.wait()),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
        ended, _ = await asyncio.gather(*waits, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended


class _Server(uvicorn.Server):
    """Uvicorn, told to stop by us: one place hears the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _run_web(
    runtime: Runtime,
    listener: socket.socket,
    stopping: asyncio.Event,
    ready: Callable[[], None],
    *,
    alone: bool,
) -> None:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Runtime]:
        yield runtime

    with interpreter.loading():
        app = create_app(opened)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    if alone:  # else the worker does it
        interpreter.tune()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    ready()
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    stop.cancel()
    runtime.announcements.close()  # ends the open streams, which would hold the server
    server.should_exit = True
    await serving


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """A socket on our port, or a ``SettingsError``. Opened before anything is written or started,
    so that a second start by mistake disturbs nothing of the first."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1024)
        except OSError as error:
            # An address that is no port's fault: it cannot be resolved, or is not this machine's.
            at_fault = "HOST" if _is_about_the_host(error) else "PORT"
            raise SettingsError(
                f"{PREFIX}{at_fault}: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        listener.setblocking(False)
        yield listener


def _is_about_the_host(error: OSError) -> bool:
    return isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
