"""Runs the web server and the worker in this process until it is told to stop."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import structlog
import uvicorn

from groupline.app import create_app
from groupline.db import migrate
from groupline.runtime import Runtime, open_runtime
from groupline.settings import PREFIX, Settings, SettingsError
from groupline.worker.loops import loops_of
from groupline.worker.supervisor import Supervisor

logger = structlog.get_logger()

GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Parts:
    web: bool
    worker: bool


async def serve(settings: Settings, parts: Parts) -> None:
    """One process of an installation whose database somebody keeps up to date."""
    async with open_runtime(settings) as runtime:
        await _require_current_schema(runtime)
        await run_parts(runtime, parts)


async def _require_current_schema(runtime: Runtime) -> None:
    if await migrate.needed(runtime.database):
        raise SettingsError(
            f"{PREFIX}DATABASE_URL: the schema is not what this build needs; "
            "run 'groupline db upgrade' first"
        )


async def run_parts(
    runtime: Runtime, parts: Parts, *, ready: Callable[[], None] = lambda: None
) -> None:
    """The parts together: when one ends, the others are stopped, and then this returns."""
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    async with asyncio.TaskGroup() as group:
        if parts.worker:
            group.create_task(_run_worker(runtime, stopping))
        if parts.web:
            group.create_task(_run_web(runtime, stopping, ready))


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)


async def _run_worker(runtime: Runtime, stopping: asyncio.Event) -> None:
    async with loops_of(runtime) as loops:
        await Supervisor(runtime, loops).run(stopping)


class _Server(uvicorn.Server):
    """Uvicorn, told to stop by us: one place hears the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _run_web(runtime: Runtime, stopping: asyncio.Event, ready: Callable[[], None]) -> None:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Runtime]:
        yield runtime

    server = _Server(
        uvicorn.Config(
            create_app(opened),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    with listening(runtime.settings.host, runtime.settings.port, name="PORT") as listener:
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
def listening(host: str, port: int, *, name: str) -> Iterator[socket.socket]:
    """A bound socket, or a ``SettingsError`` that names the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"{PREFIX}{name}: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        listener.listen(1024)
        listener.setblocking(False)
        yield listener
