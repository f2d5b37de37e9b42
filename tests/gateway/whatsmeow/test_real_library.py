"""The real library in a real worker: without a network, and only there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gateway.whatsmeow.waiting import until_status
from tests.support.gateway import GatewayProcess, gateway_process

pytestmark = pytest.mark.e2e

UNREACHABLE = "WhatsApp cannot be reached from this machine. The gateway keeps trying."
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody serves: the way out for the workers of these tests."""


def _modules_and_children(process: GatewayProcess) -> tuple[bool, set[int]]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return _has_loaded_it(process.pid), {int(pid) for pid in children.split()}


def _has_loaded_it(pid: int) -> bool:
    return "neonize" in Path(f"/proc/{pid}/maps").read_text()


async def test_connecting_says_in_time_that_whatsapp_cannot_be_reached(tmp_path: Path) -> None:
    away = {"HTTPS_PROXY": NOWHERE, "https_proxy": NOWHERE, "NO_PROXY": "", "no_proxy": ""}
    log_file = tmp_path / "log"
    with log_file.open("w") as log:
        async with gateway_process(
            tmp_path / "data", stderr=log, GROUPLINE_GATEWAY_ENGINE="whatsmeow", **away
        ) as process:
            async with process.client() as gateway:
                assert _modules_and_children(process) == (False, set())
                await gateway.post("/connect", {"sessionId": "wa_1", "phone": "+919876543210"})
                await until_status(gateway, "connecting", detail=UNREACHABLE)
                loaded, [worker] = _modules_and_children(process)
                assert not loaded, "only the worker may load the library"
                assert _has_loaded_it(worker)
                [session] = (await gateway.get("/sessions"))["sessions"]
                assert session["memoryMb"] < 100
            assert await process.terminate() == 0
    written = log_file.read_text()
    assert "919876543210" not in written
    files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").rglob("*.db")}
    assert files == {"wa_1.db": 0o600, "gateway.db": 0o600}


SCRIPT = """
import sys
from groupline_gateway.engines.whatsmeow import library
{change}
try:
    from groupline_gateway.engines.whatsmeow.client import open_client
    from groupline_gateway.engines.whatsmeow.port import Account
    open_client(Account("pairing.db"), lambda frame: None)
except library.LibraryMissing as error:
    print("refused:", error)
else:
    names = ("magic", "requests", "httpx")
    print("opened", [name for name in names if hasattr(sys.modules[name], "__file__")])
"""


def _load(tmp_path: Path, change: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(change=change)],
        cwd=tmp_path,
        env={**os.environ, "HTTPS_PROXY": NOWHERE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


HEARING = """
import logging
from groupline_gateway.engines.whatsmeow import library
library.prepare(lambda frame: print(frame["event"].value))
logging.getLogger("whatsmeow.Client").warning(
    'Temporary ban connect failure: <failure reason="402" code="105" expire="600"/>'
)
"""


def test_what_the_library_logs_is_listened_to(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HEARING],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.split() == ["banned", "log"]


ENDING = """
from groupline_gateway.engines.whatsmeow.client import open_client
from groupline_gateway.engines.whatsmeow.port import Account, ClientFailed
client = open_client(Account("pairing.db"), lambda frame: None)
from neonize.client import NewClient
from neonize.exc import NeonizeError
for words in ("proto: required field neonize.Receipt.Type not set", "failed to dial"):
    def connect(self, proxy_settings):
        raise NeonizeError(words)
    NewClient.connect = connect
    try:
        print(client.run())
    except ClientFailed as error:
        print(error)
"""


def test_an_event_that_cannot_be_told_is_the_end_of_a_connection_and_no_failure_of_it(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDING],
        cwd=tmp_path,
        env={**os.environ, "HTTPS_PROXY": NOWHERE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout.splitlines() == ["None", "failed to dial"], ended.stderr


def test_it_loads_without_a_library_of_the_system(tmp_path: Path) -> None:
    assert _load(tmp_path, "") == "opened []\n"


def test_a_missing_library_is_refused_and_never_fetched(tmp_path: Path) -> None:
    told = _load(tmp_path, "library.library_name = lambda *_: 'neonize-plan9-mips.so'")
    assert "neonize-plan9-mips.so is missing" in told


def test_another_version_of_the_library_is_refused_and_never_fetched(tmp_path: Path) -> None:
    told = _load(tmp_path, "library.importlib.metadata.version = lambda _: '0.0.1'")
    assert told.startswith("refused: The package neonize cannot be loaded here")
