"""Puts the parts together and runs them on uvicorn."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import struct
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from groupline_gateway.app import create_app
from groupline_gateway.clock import Clock
from groupline_gateway.engines.port import Engine
from groupline_gateway.engines.simulator import SimulatorEngine
from groupline_gateway.engines.simulator.edge import ABORT_EXTENSION
from groupline_gateway.engines.simulator.schemas import Dialect
from groupline_gateway.engines.whatsmeow.engine import Options as WhatsmeowOptions
from groupline_gateway.engines.whatsmeow.engine import WhatsmeowEngine
from groupline_gateway.engines.whatsmeow.pairings import Pairings
from groupline_gateway.errors import StartRefused
from groupline_gateway.ledger import Ledger
from groupline_gateway.settings import PREFIX, Settings
from groupline_gateway.store import Store
from groupline_gateway.webhooks import Webhooks, WireStyle

log = structlog.get_logger()

_DRAIN_SECONDS = 10
_HOUSEKEEPING_SECONDS = 3600.0
_PARENT_SECONDS = 1.0
_STORE_FILE = "gateway.db"
_LOCK_FILE = "gateway.lock"
# SO_LINGER with a time of zero: closing sends a reset, not a polite end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway whose parts are running; the HTTP server is not part of it."""

    app: FastAPI
    engine: Engine
    store: Store
    webhooks: Webhooks


@contextlib.asynccontextmanager
async def open_gateway(
    settings: Settings,
    clock: Clock,
    *,
    die: Callable[[], None] | None = None,
    whatsmeow: WhatsmeowOptions | None = None,
) -> AsyncIterator[Gateway]:
    """Everything but the HTTP server, started in order and stopped in reverse."""
    settings.prepare_data_dir()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_sole_owner(settings))
        store = Store(settings.data_dir / _STORE_FILE)
        await store.open()
        stack.push_async_callback(store.close)
        webhooks = Webhooks(store, clock, url=settings.webhook_url, secret=settings.webhook_secret)
        if settings.engine == "simulator":
            engine = _simulator(settings, store, clock, webhooks, die or kill_this_process)
        else:
            engine = _whatsmeow(settings, store, clock, webhooks, whatsmeow)
        app = create_app(settings, engine, store, clock)
        await engine.start()
        stack.push_async_callback(engine.stop)
        await app.state.ledger.recover()
        engine.begin()
        webhooks.start()
        stack.push_async_callback(webhooks.stop)
        keeper = asyncio.create_task(_keep_house(app.state.ledger, webhooks, clock))
        stack.push_async_callback(_cancel, keeper)
        yield Gateway(app, engine, store, webhooks)


def kill_this_process() -> None:
    """The end that a power cut would make of it: nothing is finished, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)


class GatewayProtocol(HttpToolsProtocol):
    """Lets the application cut a connection, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {ABORT_EXTENSION: self._reset}
        self.scope["extensions"] = extensions

    def _reset(self) -> None:
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


class GatewayServer(uvicorn.Server):
    """A uvicorn server that leaves the signals to us and lets held requests go on its end."""

    def __init__(
        self, app: FastAPI, engine: Engine, on_started: Callable[[], None] | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=GatewayProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
                backlog=2048,
            )
        )
        self._engine = engine
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_started is not None:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._engine.begin_stop()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, or ``StartRefused`` with the reason."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise StartRefused(f"{PREFIX}HOST: {host}: {error.strerror}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise StartRefused(f"{PREFIX}PORT: {host}:{port}: {error.strerror}") from error
    bound.setblocking(False)
    return bound


def address_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    settings: Settings,
    clock: Clock,
    *,
    also: Settings | None = None,
    whatsmeow: WhatsmeowOptions | None = None,
) -> None:
    """Run until SIGTERM, SIGINT or the end of the parent process.

    ``also`` is a second gateway in this process, with an address, a key and a store of its own:
    it costs a tenth of what a second process would.
    """
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(_opened_server(each, clock, whatsmeow))
            for each in (settings, also)
            if each is not None
        ]
        _stop_on_signals(servers)
        watcher = asyncio.create_task(_watch_parent(settings.parent_pid, servers, clock))
        stack.push_async_callback(_cancel, watcher)
        await asyncio.gather(*(_serve(server, bound, servers) for server, bound in servers))
    log.info("gateway.stopped")


_Served: TypeAlias = tuple[GatewayServer, socket.socket]


@contextlib.asynccontextmanager
async def _opened_server(
    settings: Settings, clock: Clock, whatsmeow: WhatsmeowOptions | None
) -> AsyncIterator[_Served]:
    bound = listen(settings.host, settings.port)
    with contextlib.closing(bound):
        async with open_gateway(settings, clock, whatsmeow=whatsmeow) as gateway:
            address = address_of(bound)

            def announce() -> None:
                sys.stdout.write(f"groupline gateway ({gateway.engine.name}) on {address}\n")
                sys.stdout.flush()
                log.info("gateway.started", address=address, engine=gateway.engine.name)

            yield GatewayServer(gateway.app, gateway.engine, announce), bound


async def _serve(server: GatewayServer, bound: socket.socket, servers: list[_Served]) -> None:
    """When one ends, all do."""
    try:
        await server.serve(sockets=[bound])
    finally:
        _stop(servers)


def _stop(servers: list[_Served]) -> None:
    for server, _ in servers:
        server.should_exit = True


def _simulator(
    settings: Settings, store: Store, clock: Clock, webhooks: Webhooks, die: Callable[[], None]
) -> Engine:
    def on_dialect(dialect: Dialect) -> None:
        webhooks.style = WireStyle(dialect.webhooks)

    return SimulatorEngine(
        store,
        clock,
        webhooks,
        die=die,
        on_dialect=on_dialect,
        demo_phones=settings.demo_phones,
    )


def _whatsmeow(
    settings: Settings,
    store: Store,
    clock: Clock,
    webhooks: Webhooks,
    options: WhatsmeowOptions | None,
) -> Engine:
    options = options or WhatsmeowOptions(
        max_sessions=settings.max_sessions,
        memory_mb=settings.worker_memory_mb,
        send_seconds=settings.send_seconds,
        max_media_mb=settings.max_media_mb,
        private_media=settings.private_media,
    )
    return WhatsmeowEngine(store, clock, webhooks, Pairings(settings.data_dir), options)


@contextlib.contextmanager
def _sole_owner(settings: Settings) -> Iterator[None]:
    """Two gateways on one store would each send what the other has sent already."""
    with (settings.data_dir / _LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartRefused(
                f"{PREFIX}DATA_DIR: another gateway is running on {settings.data_dir}"
            ) from error
        yield


def _stop_on_signals(servers: list[_Served]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, servers)


async def _watch_parent(parent_pid: int | None, servers: list[_Served], clock: Clock) -> None:
    """A killed parent says nothing; the system then gives its children another one."""
    if parent_pid is None:
        return
    while os.getppid() == parent_pid:
        await clock.sleep(_PARENT_SECONDS)
    log.warning("gateway.parent_gone")
    _stop(servers)


async def _keep_house(ledger: Ledger, webhooks: Webhooks, clock: Clock) -> None:
    while True:
        try:
            await ledger.forget_old()
            await webhooks.forget_old()
        except sqlite3.Error:
            log.exception("store.housekeeping_failed")
        await clock.sleep(_HOUSEKEEPING_SECONDS)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
