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
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import structlog

from groupline.cli.serve import listening, run_parts
from groupline.db import migrate
from groupline.gateways.managed import ManagedGateway, keep_managed_gateway
from groupline.orgs import queries as people
from groupline.orgs.links import make_setup_link
from groupline.runtime import Runtime, open_runtime
from groupline.settings import PREFIX, Settings, SettingsError

logger = structlog.get_logger()

_ENGINE: Final = "simulator"
_LOCK_FILE: Final = "up.lock"
_MAX_RESTART_PAUSE = 30.0
_START_SECONDS = 5.0
_STOP_SECONDS = 8.0


async def run_everything(settings: Settings) -> None:
    """Brings the database up to date, starts the gateway, serves, and prints where to go."""
    settings.prepare_data_dir()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_sole_owner(settings))
        listener = stack.enter_context(listening(settings))
        runtime = await stack.enter_async_context(open_runtime(settings))
        await migrate.upgrade(runtime.database)
        gateway = await _registered_gateway(runtime)
        link = await _first_link(runtime)
        await stack.enter_async_context(_gateway_process(settings, gateway))
        await run_parts(
            runtime,
            listener,
            worker=True,
            before_work=lambda: _until_it_listens(gateway),
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


async def _registered_gateway(runtime: Runtime) -> ManagedGateway:
    """The row of the built-in gateway: its keys are made once, its address follows its port."""
    port = _free_port(runtime.settings)
    fresh = ManagedGateway(
        engine=_ENGINE,
        base_url=f"http://127.0.0.1:{port}",
        api_key=secrets.token_urlsafe(32),
        webhook_secret="whsec_" + b64encode(secrets.token_bytes(32)).decode(),
    )
    async with runtime.database.writing() as session:
        return await keep_managed_gateway(session, runtime.vault, fresh, runtime.clock.now())


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
async def _gateway_process(settings: Settings, gateway: ManagedGateway) -> AsyncIterator[None]:
    """Keeps the built-in gateway running as a child process, and ends it with us."""
    task = asyncio.create_task(_keep_gateway(_gateway_environment(settings, gateway)))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_gateway(environment: dict[str, str]) -> None:
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
        pause = 0.5 if loop.time() - started > 60 else min(pause * 2, _MAX_RESTART_PAUSE)
        logger.error("gateway.exited", exit_code=code, again_in=pause)
        await asyncio.sleep(pause)


async def _until_it_listens(gateway: ManagedGateway) -> None:
    """A worker that asks sooner would call a gateway unreachable that has only just begun."""
    port = int(gateway.base_url.rpartition(":")[2])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while True:
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


def _gateway_environment(settings: Settings, gateway: ManagedGateway) -> dict[str, str]:
    """The child knows its own keys and nothing of ours, such as the database's address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GROUPLINE_")}
    return kept | {
        "GROUPLINE_GATEWAY_HOST": "127.0.0.1",
        "GROUPLINE_GATEWAY_PORT": gateway.base_url.rpartition(":")[2],
        "GROUPLINE_GATEWAY_ENGINE": gateway.engine,
        "GROUPLINE_GATEWAY_DATA_DIR": str(Path(settings.data_dir) / f"gateway-{gateway.engine}"),
        "GROUPLINE_GATEWAY_API_KEY": gateway.api_key,
        "GROUPLINE_GATEWAY_WEBHOOK_URL": _loopback_url(settings) + f"/hooks/{gateway.id}",
        "GROUPLINE_GATEWAY_WEBHOOK_SECRET": gateway.webhook_secret,
        "GROUPLINE_GATEWAY_LOG_FORMAT": settings.log_format,
        "GROUPLINE_GATEWAY_PARENT_PID": str(os.getpid()),
    }


def _loopback_url(settings: Settings) -> str:
    """How a process on this machine reaches us, whatever address the world uses."""
    if settings.host in ("0.0.0.0", "::"):
        return f"http://127.0.0.1:{settings.port}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"
