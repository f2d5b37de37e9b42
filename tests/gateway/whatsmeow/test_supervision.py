"""Workers are real processes here: started, killed, watched, and never left behind."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.whatsmeow.waiting import DEADLINE, is_alive, until, until_status
from tests.support.fake_client import BALLAST, LOADING
from tests.support.fake_whatsapp import (
    MORNING,
    STUDIO,
    FakeWhatsApp,
    group,
    options,
)
from tests.support.gateway import GatewayProcess, RunningGateway, running_gateway

from groupline_gateway.engines.whatsmeow.changes import PROXY_SILENT

ROOT = Path(__file__).parents[3]
MANY = 50
AT_ONCE = 3
"""So many workers load the library at the same time."""
ROUNDS = int(os.environ.get("GROUPLINE_TEST_RANDOM_ROUNDS", "100"))
"""Enough to meet every state; a thousand for a thorough run."""


class WhatsmeowProcess(GatewayProcess):
    """A gateway process with the tests' client in its workers."""

    program = "tests.support.whatsmeow_gateway"
    directory = ROOT


@contextlib.asynccontextmanager
async def whatsmeow_process(data_dir: Path) -> AsyncIterator[WhatsmeowProcess]:
    process = WhatsmeowProcess(data_dir)
    await process.start()
    try:
        yield process
    finally:
        if process.running:
            await process.kill()


@pytest.fixture
async def paired_slowly(tmp_path: Path, whatsapp: FakeWhatsApp) -> AsyncIterator[RunningGateway]:
    """Connected, and calls WhatsApp unreachable after a second of silence."""
    pace = type(options().pace)(first_pause=0.02, tick=0.05, silence=1.0)
    async with running_gateway(tmp_path, whatsmeow=options(pace=pace)) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(gateway, "connected")
        yield gateway


async def test_a_killed_worker_comes_back(paired: RunningGateway, whatsapp: FakeWhatsApp) -> None:
    first = whatsapp.clients["wa_1"].pid
    os.kill(first, signal.SIGKILL)
    await whatsapp.until(lambda: whatsapp.connections["wa_1"] == 2)
    await until_status(paired, "connected")
    assert whatsapp.clients["wa_1"].pid != first
    [session] = (await paired.get("/sessions"))["sessions"]
    assert session["restarts"] == 1


async def test_a_client_call_that_ends_is_followed_by_another_worker(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.clients["wa_1"].writer.close()
    await whatsapp.until(lambda: whatsapp.connections["wa_1"] == 2)
    await until_status(paired, "connected")


async def test_a_message_under_way_outlives_the_client_call(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.hold_at = "wire"
    sending = asyncio.create_task(paired.send(MORNING, "ref-1", text="x"))
    await whatsapp.until(lambda: whatsapp.held)
    first = whatsapp.clients["wa_1"]
    first.say({"endOfEvents": True})
    await until_status(paired, "connecting")
    await paired.send(MORNING, "ref-2", expect=503)
    whatsapp.release()
    sent = await sending
    assert sent["messageId"] == whatsapp.wire[0]["messageId"]
    await whatsapp.until(lambda: whatsapp.connections["wa_1"] == 2)
    await until_status(paired, "connected")
    assert whatsapp.sent("x") == 1
    await until(lambda: not is_alive(first.pid))


async def test_a_worker_that_hangs_is_replaced(tmp_path: Path, whatsapp: FakeWhatsApp) -> None:
    async with running_gateway(tmp_path, whatsmeow=options()) as patient:
        await patient.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(patient, "connected")
    pace = type(options().pace)(first_pause=0.02, tick=0.05, ping_every=0.2, ping_patience=2.0)
    async with running_gateway(tmp_path, whatsmeow=options(pace=pace)) as gateway:
        await until_status(gateway, "connected")
        hanging = whatsapp.clients["wa_1"].pid
        os.kill(hanging, signal.SIGSTOP)
        await whatsapp.until(
            lambda: "wa_1" in whatsapp.clients and whatsapp.clients["wa_1"].pid != hanging
        )


async def test_a_worker_that_grows_too_large_is_replaced_when_idle(
    tmp_path: Path, whatsapp: FakeWhatsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = type(options().pace)(first_pause=0.02, tick=0.05, memory_every=0.2, memory_after=1.0)
    chosen = options(pace=pace, memory_mb=100)
    async with running_gateway(tmp_path, whatsmeow=chosen) as gateway:
        monkeypatch.setenv(BALLAST, "150")
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.until(lambda: whatsapp.connections["wa_1"] == 1)
        monkeypatch.delenv(BALLAST)
        await whatsapp.until(lambda: whatsapp.connections["wa_1"] == 2)
        await until_status(gateway, "qr_pending")
        [session] = (await gateway.get("/sessions"))["sessions"]
        assert session["memoryMb"] < 100


def _loading(data_dir: Path) -> list[int]:
    """The processes that began to load the library, in order."""
    file = data_dir / "pairings" / LOADING
    return [int(line) for line in file.read_text().split()] if file.exists() else []


async def test_workers_that_die_while_they_load_hold_up_nobody(tmp_path: Path) -> None:
    loading = options(client="tests.support.fake_client:never_loads")
    async with running_gateway(tmp_path, whatsmeow=loading) as gateway:
        for number in range(4):
            await gateway.post("/connect", {"sessionId": f"wa_{number}"})
        await until(lambda: len(_loading(tmp_path)) == AT_ONCE)
        for pid in _loading(tmp_path):
            os.kill(pid, signal.SIGKILL)
        await until(lambda: len(_loading(tmp_path)) == 2 * AT_ONCE)


async def test_another_proxy_replaces_a_worker_that_loads_at_once(tmp_path: Path) -> None:
    loading = options(client="tests.support.fake_client:never_loads")
    async with running_gateway(tmp_path, whatsmeow=loading) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await until(lambda: len(_loading(tmp_path)) == 1)
        proxy = {"host": "127.0.0.1", "port": 9}
        await gateway.post("/connect", {"sessionId": "wa_1", "proxy": proxy})
        await until(lambda: len(_loading(tmp_path)) == 2)


async def test_without_a_network_it_says_so_and_keeps_trying(
    tmp_path: Path, whatsapp: FakeWhatsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "WhatsApp cannot be reached from this machine. The gateway keeps trying."
    address = os.environ["FAKE_WHATSAPP"]
    with monkeypatch.context() as away:
        away.setenv("FAKE_WHATSAPP", str(tmp_path / "nobody"))
        async with running_gateway(tmp_path, whatsmeow=options()) as gateway:
            await gateway.post("/connect", {"sessionId": "wa_1"})
            await until_status(gateway, "connecting", detail=sentence)
            (tmp_path / "nobody").symlink_to(address)
            await until_status(gateway, "qr_pending")


async def test_a_server_that_never_answers_is_called_unreachable(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.shows_codes = False
    pace = type(options().pace)(tick=0.05, silence=0.3)
    async with running_gateway(tmp_path, whatsmeow=options(pace=pace)) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        sentence = "WhatsApp cannot be reached from this machine. The gateway keeps trying."
        await until_status(gateway, "connecting", detail=sentence)


async def test_a_proxy_through_which_nothing_comes_back_is_named(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.shows_codes = False
    pace = type(options().pace)(tick=0.05, silence=0.3)
    async with running_gateway(tmp_path, whatsmeow=options(pace=pace)) as gateway:
        body = {"sessionId": "wa_1", "proxy": {"host": "proxy.example", "port": 3128}}
        await gateway.post("/connect", body)
        await until_status(gateway, "connecting", detail=PROXY_SILENT)


async def test_a_server_that_throws_us_out_again_and_again_is_called_unreachable(
    paired_slowly: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    client = whatsapp.clients["wa_1"]
    sentence = "WhatsApp cannot be reached from this machine. The gateway keeps trying."
    async with asyncio.timeout(DEADLINE):
        while (await paired_slowly.get("/status/wa_1")).get("detail") != sentence:
            client.event("disconnected")
            await asyncio.sleep(0.1)


async def test_a_client_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    broken = options(client="tests.support.fake_client:no_library")
    async with running_gateway(tmp_path, whatsmeow=broken) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        ended = await until_status(gateway, "disconnected", reason="connection_lost")
        assert ended["detail"] == "There is no library on this machine."


async def test_a_pairing_that_is_damaged_says_so_and_stops_nobody_else(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    async with running_gateway(tmp_path, whatsmeow=options()) as gateway:
        for name in ("wa_1", "wa_2"):
            await gateway.post("/connect", {"sessionId": name})
            await whatsapp.scan(name)
            await until_status(gateway, "connected", name)
    pairing = tmp_path / "pairings" / "wa_1.db"
    pairing.unlink()
    pairing.mkdir()
    async with running_gateway(tmp_path, whatsmeow=options()) as gateway:
        await until_status(gateway, "connected", "wa_2")
        detail = "The process of this session could not be started: Is a directory"
        await until_status(gateway, "connecting", detail=detail)
        pairing.rmdir()
        await until_status(gateway, "qr_pending")


async def _paired_process(process: WhatsmeowProcess, whatsapp: FakeWhatsApp) -> int:
    async with process.client() as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(gateway, "connected")
    return whatsapp.clients["wa_1"].pid


@pytest.mark.e2e
@pytest.mark.parametrize("ending", ["terminate", "kill"])
async def test_no_worker_outlives_the_gateway(
    tmp_path: Path, whatsapp: FakeWhatsApp, ending: str
) -> None:
    async with whatsmeow_process(tmp_path) as process:
        pid = await _paired_process(process, whatsapp)
        assert is_alive(pid)
        await getattr(process, ending)()
        await until(lambda: not is_alive(pid))


@pytest.mark.e2e
async def test_a_worker_notices_the_end_of_the_gateway_by_its_socket(tmp_path: Path) -> None:
    """Also where the system does not kill the children of a killed parent."""
    script = (
        "import os, socket, subprocess, sys\n"
        "ours, theirs = socket.socketpair()\n"
        "worker = subprocess.Popen([sys.executable, '-m',"
        " 'groupline_gateway.engines.whatsmeow.worker', str(theirs.fileno()),"
        " 'tests.support.fake_client:open_client'], pass_fds=(theirs.fileno(),))\n"
        "theirs.close(); ours.close()\n"
        "sys.exit(worker.wait(60))\n"
    )
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=ROOT)
    assert await ended.wait() == 0


@pytest.mark.e2e
@pytest.mark.parametrize(("step", "copies"), [("before_store", 0), ("stored", 0), ("wire", 1)])
async def test_a_gateway_that_is_killed_in_a_send_knows_afterwards(
    tmp_path: Path, whatsapp: FakeWhatsApp, step: str, copies: int
) -> None:
    async with whatsmeow_process(tmp_path) as process:
        await _paired_process(process, whatsapp)
        whatsapp.hold_at = step
        async with process.client() as gateway:
            sending = asyncio.create_task(gateway.send(MORNING, "ref-1", text="x"))
            await whatsapp.until(lambda: whatsapp.held)
            await process.kill()
            await asyncio.gather(sending, return_exceptions=True)
        whatsapp.hold_at = None
        await process.start()
        async with process.client() as gateway:
            await until_status(gateway, "connected")
            found = await gateway.message_status("ref-1")
            if step == "before_store":
                assert found == {"found": False}
            else:
                assert (found["status"], found["messageId"]) == ("pending", whatsapp.held[0][1])
                await gateway.send(MORNING, "ref-1", text="x", expect=504)
            assert whatsapp.sent("x") == copies


@pytest.mark.e2e
@pytest.mark.timeout(240)
async def test_fifty_workers_killed_at_random_come_back_and_double_nothing(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.groups = [group(MORNING, "Morning batch")]
    async with running_gateway(tmp_path, whatsmeow=options(max_sessions=MANY)) as gateway:
        names = [f"wa_{number}" for number in range(MANY)]
        for name in names:
            await gateway.post("/connect", {"sessionId": name})
        for position, name in enumerate(names):
            await whatsapp.scan(name, str(int(STUDIO) + position))
        for name in names:
            await until_status(gateway, "connected", name)

        seen = {client.pid for client in whatsapp.clients.values()}
        killed: set[int] = set()
        sends = await _send_and_kill(gateway, whatsapp, names, killed)
        answers = await asyncio.gather(*sends)
        seen |= killed
        for name in names:
            await whatsapp.until(partial(_has_lived_on, whatsapp, name, killed))
            await until_status(gateway, "connected", name)
            seen.add(whatsapp.clients[name].pid)
        texts = [message["text"] for message in whatsapp.wire]
        assert len(texts) == len(set(texts))
        sent = {answer["messageId"] for answer in answers if answer.get("success")}
        assert sent <= {message["messageId"] for message in whatsapp.wire}
        assert sent
        assert len(seen) > MANY
    await until(lambda: not any(map(is_alive, seen)))


def _has_lived_on(whatsapp: FakeWhatsApp, name: str, killed: set[int]) -> bool:
    """The gateway may not yet know of a kill, and call the session connected."""
    client = whatsapp.clients.get(name)
    return client is not None and client.pid not in killed


async def _send_and_kill(
    gateway: RunningGateway, whatsapp: FakeWhatsApp, names: list[str], killed: set[int]
) -> list[asyncio.Task[Any]]:
    dice = random.Random(7)
    sends: list[asyncio.Task[Any]] = []
    for _ in range(ROUNDS):
        name = dice.choice(names)
        client = whatsapp.clients.get(name)
        if client is not None:
            ref = f"ref-{len(sends)}"
            sending = gateway.send(MORNING, ref, text=ref, session_id=name, expect=None)
            sends.append(asyncio.create_task(sending))
        await asyncio.sleep(dice.random() * 0.1)
        if client is not None and dice.random() < 0.7:
            killed.add(client.pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(client.pid, signal.SIGKILL)
    return sends
