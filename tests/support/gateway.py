"""Real gateways for tests: in this process with a clock to turn, or as a process to kill."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import IO, Any, Final

import aiohttp
from tests.support.ports import free_port

from groupline_gateway.clock import Clock, SystemClock
from groupline_gateway.engines.whatsmeow.engine import Options as WhatsmeowOptions
from groupline_gateway.server import GatewayServer, address_of, listen, open_gateway
from groupline_gateway.settings import load_settings

API_KEY: Final = "a-key-for-tests-only"
WEBHOOK_SECRET: Final = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
STUDIO: Final = "919876543210"
"""The number of the phone that ``connect`` makes where none is named."""

Json = Any


class GatewayClient:
    """Speaks to a gateway, natively and to its simulator."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.api_key = API_KEY
        self.http = session

    async def call(
        self, method: str, path: str, body: Json = None, *, expect: int | None = 200, **given: Any
    ) -> Json:
        """The JSON of an answer, whose status has to be ``expect``."""
        async with self.http.request(method, self.url + path, json=body, **given) as answer:
            text = await answer.text()
            assert expect in (None, answer.status), f"{method} {path}: {answer.status} {text}"
            return await answer.json(content_type=None)

    async def get(self, path: str, **given: Any) -> Json:
        return await self.call("GET", path, **given)

    async def post(self, path: str, body: Json = None, **given: Any) -> Json:
        return await self.call("POST", path, body, **given)

    async def put(self, path: str, body: Json = None, **given: Any) -> Json:
        return await self.call("PUT", path, body, **given)

    async def delete(self, path: str, **given: Any) -> Json:
        return await self.call("DELETE", path, **given)

    async def add_phone(
        self, number: str = STUDIO, groups: int | list[Json] = 3, **given: Any
    ) -> list[str]:
        """A new phone; the JIDs of its groups."""
        body = {"number": number, "name": "A phone", "groups": groups, **given}
        await self.post("/sim/phones", body, expect=201)
        listed = await self.get(f"/sim/phones/{number}/groups")
        return [group["id"] for group in listed["groups"]]

    async def pair(self, session_id: str = "wa_1", number: str = STUDIO) -> None:
        """Connect a session by having its QR code scanned."""
        await self.post("/connect", {"sessionId": session_id})
        await self.post(f"/sim/phones/{number}/scan", {"sessionId": session_id})

    async def connect(
        self,
        session_id: str = "wa_1",
        number: str = STUDIO,
        groups: int | list[Json] = 3,
    ) -> list[str]:
        """A new phone with a connected session; the JIDs of groups it may write to."""
        await self.add_phone(number, groups)
        await self.pair(session_id, number)
        listed = await self.get(f"/sim/phones/{number}/groups")
        return [
            group["id"]
            for group in listed["groups"]
            if not group["isCommunity"] and (group["isAdmin"] or not group["announceOnly"])
        ]

    async def send(
        self,
        jid: str,
        client_ref: str | None = None,
        *,
        text: str = "hello",
        session_id: str = "wa_1",
        expect: int | None = 200,
    ) -> Json:
        body = {"sessionId": session_id, "phone": jid, "message": text}
        if client_ref is not None:
            body["clientRef"] = client_ref
        return await self.post("/send", body, expect=expect)

    async def message_status(self, client_ref: str, session_id: str = "wa_1") -> Json:
        body = {"sessionId": session_id, "clientRef": client_ref}
        return await self.post("/message-status", body)

    async def fault(self, kind: str, **rule: Any) -> int:
        """Have something go wrong; the fault's id."""
        return int((await self.post("/sim/faults", {"kind": kind, **rule}, expect=201))["id"])

    async def deliveries(self, **wanted: str) -> list[Json]:
        listed = await self.get("/sim/deliveries", params=wanted)
        return list(listed["deliveries"])

    async def copies(self, by: str = "clientRef") -> dict[tuple[str, str | None], int]:
        """How many copies of each message reached each group."""
        counted = await self.get("/sim/deliveries/counts", params={"by": by})
        return {(row["groupJid"], row[by]): row["copies"] for row in counted["counts"]}


class RunningGateway(GatewayClient):
    """A gateway inside the test's own event loop."""


@contextlib.asynccontextmanager
async def running_gateway(
    data_dir: Path,
    *,
    clock: Clock | None = None,
    whatsmeow: WhatsmeowOptions | None = None,
    **settings: Any,
) -> AsyncIterator[RunningGateway]:
    """Serve a gateway on a free port until the block ends: with the simulator, if it is not
    told how to run the engine ``whatsmeow``.

    ``settings`` are those of the gateway, as ``webhook_url="http://…"``. The demo phones stay
    out unless ``demo_phones=True``. Faults that crash the gateway need ``GatewayProcess``.
    """
    chosen = load_settings(
        _env_file=None,
        data_dir=data_dir,
        engine="simulator" if whatsmeow is None else "whatsmeow",
        **{"api_key": API_KEY, "webhook_secret": WEBHOOK_SECRET, "demo_phones": False, **settings},
    )
    parts: dict[str, Any] = {"die": _refuse_to_die, "whatsmeow": whatsmeow}
    with contextlib.closing(listen("127.0.0.1", 0)) as bound:
        async with open_gateway(chosen, clock or SystemClock(), **parts) as gateway:
            started = asyncio.Event()
            server = GatewayServer(gateway.app, gateway.engine, started.set)
            serving = asyncio.create_task(server.serve(sockets=[bound]))
            await started.wait()
            try:
                async with client_session() as session:
                    yield RunningGateway(address_of(bound), session)
            finally:
                server.should_exit = True
                await serving


class GatewayProcess:
    """A gateway as a process of its own, to be killed and started again on the same data."""

    program = "groupline_gateway"
    directory: Path | None = None
    """Where it runs; its own data directory if nothing else is said."""

    def __init__(
        self,
        data_dir: Path,
        *,
        stderr: IO[str] | None = None,
        without: Iterable[str] = (),
        **environment: str,
    ) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if "GROUPLINE" not in name},
            "GROUPLINE_GATEWAY_DATA_DIR": str(data_dir),
            "GROUPLINE_GATEWAY_API_KEY": API_KEY,
            "GROUPLINE_GATEWAY_WEBHOOK_SECRET": WEBHOOK_SECRET,
            # Its own also while it is down: another program is not given it meanwhile.
            "GROUPLINE_GATEWAY_PORT": str(free_port()),
            "GROUPLINE_GATEWAY_DEMO_PHONES": "false",
            **environment,
        }
        for name in without:
            del self._environment["GROUPLINE_GATEWAY_" + name]
        self._data_dir = data_dir
        self._stderr = stderr
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "the gateway has not been started"
        return self._process

    async def start(self) -> str:
        """Start it, or start it again on the same port; its address."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.program,
            env=self._environment,
            cwd=self.directory or self._data_dir,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._stderr or asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode()
        assert " on http" in line, f"the gateway did not start: {line!r}"
        self.url = line.rsplit(" on ", 1)[1].strip()
        return self.url

    async def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is closed."""
        self._running.send_signal(signal.SIGKILL)
        await self.ended()

    async def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self._running.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended by itself; the exit status."""
        status = await self._running.wait()
        # Reads to the end, so that the pipe's transport is closed with the process.
        assert self._running.stdout is not None
        await self._running.stdout.read()
        return status

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[GatewayClient]:
        async with client_session() as session:
            yield GatewayClient(self.url, session)


@contextlib.asynccontextmanager
async def gateway_process(
    data_dir: Path,
    *,
    stderr: IO[str] | None = None,
    without: Iterable[str] = (),
    **environment: str,
) -> AsyncIterator[GatewayProcess]:
    """A started gateway process, gone with all it has at the end of the block.

    ``environment`` adds to the settings that tests need, ``without`` names some of those to
    leave out, as ``API_KEY``.
    """
    process = GatewayProcess(data_dir, stderr=stderr, without=without, **environment)
    await process.start()
    try:
        yield process
    finally:
        if process._running.returncode is None:
            await process.kill()


def client_session() -> aiohttp.ClientSession:
    """A client that presents the key of the tests."""
    return aiohttp.ClientSession(
        headers={"X-API-Key": API_KEY}, timeout=aiohttp.ClientTimeout(total=60)
    )


def _refuse_to_die() -> None:
    raise RuntimeError("a fault that crashes the gateway needs a GatewayProcess")
