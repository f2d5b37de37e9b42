"""``groupline up``: one machine, one command, nothing else to install."""

import asyncio
import contextlib
import fcntl
import os
import secrets
import signal
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from groupline.cli.serve import listening, run_parts, waited_for
from groupline.db import migrate
from groupline.gateways.managed import ManagedGateway, keep_managed_gateway
from groupline.models.gateways import ManagedEngine
from groupline.orgs import queries as people
from groupline.orgs.links import make_setup_link
from groupline.runtime import Runtime
from groupline.settings import PREFIX, Settings, SettingsError

logger = structlog.get_logger()

_ENGINES: Final[tuple[ManagedEngine, ...]] = ("simulator", "whatsmeow")
"""Both in one child process, which costs a tenth of a second one."""
_PREFIXES: Final = ("GROUPLINE_GATEWAY_", "GROUPLINE_GATEWAY_SECOND_")
_PASSED_ON: Final = frozenset(f"{_PREFIXES[0]}{name}" for name in ("LOG_LEVEL", "DEMO_PHONES"))
_LIMITS: Final = (
    "max_sessions",
    "worker_memory_mb",
    "send_seconds",
    "max_media_mb",
    "private_media",
)
_LOCK_FILE: Final = "up.lock"
_SIMULATOR_KEY: Final = "simulator_key"
_MAX_RESTART_PAUSE = 30.0
_START_SECONDS = 30.0
_STOP_SECONDS = 8.0


async def run_everything(settings: Settings) -> None:
    """Brings the database up to date, starts the gateway, serves, and prints where to go."""
    settings.prepare_data_dir()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_sole_owner(settings))
        listener = stack.enter_context(listening(settings))
        runtime = await stack.enter_async_context(waited_for(settings, listener))
        await migrate.upgrade(runtime.database)
        gateways = await _registered_gateways(runtime)
        show_simulator_key(settings, gateways)
        link = await _first_link(runtime)
        died = asyncio.Event()
        await stack.enter_async_context(_gateway_process(settings, gateways, died))
        await run_parts(
            runtime,
            listener,
            worker=True,
            before_work=lambda: until_they_listen(gateways, died),
            ready=lambda: _welcome(runtime, link),
        )


@contextlib.contextmanager
def _sole_owner(settings: Settings) -> Iterator[None]:
    """A second ``up`` would point the gateway's row to a gateway that cannot start."""
    with (settings.data_dir / _LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(
                f"{PREFIX}DATA_DIR: 'groupline up' is already running on {settings.data_dir}"
            ) from error
        yield


async def _registered_gateways(runtime: Runtime) -> list[ManagedGateway]:
    """The rows of the built-in gateways: their keys are made once, their addresses follow their
    ports. An installation from before one of them existed gets it now."""
    first = _free_port(runtime.settings)
    ports = (first, _port_beside(first, runtime.settings))
    async with runtime.database.writing() as session:
        return [
            await keep_managed_gateway(
                session,
                runtime.vault,
                ManagedGateway(
                    engine=engine,
                    base_url=f"http://127.0.0.1:{port}",
                    api_key=secrets.token_urlsafe(32),
                    webhook_secret="whsec_" + b64encode(secrets.token_bytes(32)).decode(),
                ),
                runtime.clock.now(),
            )
            for engine, port in zip(_ENGINES, ports, strict=True)
        ]


def show_simulator_key(settings: Settings, gateways: Sequence[ManagedGateway]) -> None:
    """For whoever tries out what goes wrong: in a file that only its owner can read, and good for
    phones that exist only here. The key of real phones is in none."""
    path = settings.data_dir / _SIMULATOR_KEY
    (key,) = (each.api_key for each in gateways if each.engine == "simulator")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)  # one that was there keeps its mode otherwise
        file.write(key)


def _port_beside(port: int, settings: Settings) -> int:
    """Real phones have a gateway of their own, on the next port."""
    try:
        return _bindable(port + 1)
    except (OSError, OverflowError) as error:
        if settings.gateway_port is None:
            return _bindable(0)
        raise SettingsError(
            f"{PREFIX}GATEWAY_PORT: real phones take the port after it, and cannot listen on "
            f"127.0.0.1:{port + 1}: {getattr(error, 'strerror', None) or error}"
        ) from error


def _free_port(settings: Settings) -> int:
    """The port that the settings name; without one the next to ours, or any that is free."""
    if settings.gateway_port is not None:
        try:
            return _bindable(settings.gateway_port)
        except OSError as error:
            raise SettingsError(
                f"{PREFIX}GATEWAY_PORT: cannot listen on 127.0.0.1:{settings.gateway_port}: "
                f"{error.strerror}"
            ) from error
    try:
        return _bindable(settings.effective_gateway_port)
    except (OSError, OverflowError):
        return _bindable(0)


def _bindable(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        bound: int = probe.getsockname()[1]
        return bound


async def _first_link(runtime: Runtime) -> str | None:
    """A one-time link to the setup page, as long as nobody has an account."""
    async with runtime.database.writing() as session:
        if await people.any_user(session):
            return None
        token = await make_setup_link(session, now=runtime.clock.now())
    return f"{runtime.settings.effective_base_url}/setup/{token}"


def _welcome(runtime: Runtime, link: str | None) -> None:
    address = runtime.settings.effective_base_url
    if link is None:
        print(f"\nGroupline runs at {address}\n", flush=True)
    else:
        print(f"\nGroupline runs. Open this link to set it up:\n\n  {link}\n", flush=True)


@contextlib.asynccontextmanager
async def _gateway_process(
    settings: Settings, gateways: list[ManagedGateway], died: asyncio.Event
) -> AsyncIterator[None]:
    """Keeps the built-in gateways running as a child process, and ends it with us."""
    task = asyncio.create_task(_keep_gateway(gateway_environment(settings, gateways), died))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_gateway(environment: dict[str, str], died: asyncio.Event) -> None:
    """Starts the gateway, and starts it again, ever more slowly, when it dies."""
    pause = 0.5
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "groupline_gateway",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            raise
        died.set()
        pause = 0.5 if loop.time() - started > 60 else min(pause * 2, _MAX_RESTART_PAUSE)
        logger.error("gateway.exited", exit_code=code, again_in=pause)
        await asyncio.sleep(pause)


async def until_they_listen(
    gateways: Sequence[ManagedGateway], died: asyncio.Event, *, seconds: float = _START_SECONDS
) -> None:
    """A worker that asks sooner would call a gateway unreachable that has only just begun.

    A busy machine takes its time to start one. One that has died is not waited for.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for gateway in gateways:
                await _until_it_listens(int(gateway.base_url.rpartition(":")[2]), died)


async def _until_it_listens(port: int, died: asyncio.Event) -> None:
    while not died.is_set():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def gateway_environment(settings: Settings, gateways: list[ManagedGateway]) -> dict[str, str]:
    """The child knows its own keys and nothing of ours, such as the database's address."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) or name in _PASSED_ON
    }
    limits = {name.upper(): str(getattr(settings, f"gateway_{name}")) for name in _LIMITS}
    environment = kept | {
        "GROUPLINE_GATEWAY_LOG_FORMAT": settings.log_format,
        "GROUPLINE_GATEWAY_PARENT_PID": str(os.getpid()),
    }
    for prefix, gateway in zip(_PREFIXES, gateways, strict=True):
        environment |= {
            f"{prefix}HOST": "127.0.0.1",
            f"{prefix}PORT": gateway.base_url.rpartition(":")[2],
            f"{prefix}ENGINE": gateway.engine,
            f"{prefix}DATA_DIR": str(Path(settings.data_dir) / f"gateway-{gateway.engine}"),
            f"{prefix}API_KEY": gateway.api_key,
            f"{prefix}WEBHOOK_URL": _loopback_url(settings) + f"/hooks/{gateway.id}",
            f"{prefix}WEBHOOK_SECRET": gateway.webhook_secret,
        }
        environment |= {prefix + name: value for name, value in limits.items()}
    for name in _PASSED_ON & environment.keys():
        environment[name.replace(_PREFIXES[0], _PREFIXES[1])] = environment[name]
    return environment


def _loopback_url(settings: Settings) -> str:
    """How a process on this machine reaches us, whatever address the world uses."""
    if settings.host in ("0.0.0.0", "::"):
        return f"http://127.0.0.1:{settings.port}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"
