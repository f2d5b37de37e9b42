"""The gateway as a process: what it needs to start, and how it ends."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from tests.support.gateway import API_KEY, WEBHOOK_SECRET, gateway_process

from groupline_gateway.__main__ import main

PREFIX = "GROUPLINE_GATEWAY_"

pytestmark = pytest.mark.e2e


class Start(Protocol):
    def __call__(self, **settings: str) -> tuple[int, str]: ...


@pytest.fixture
def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Start:
    """Try to start with these settings in this process; the status and what was said."""

    def run(**settings: str) -> tuple[int, str]:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            monkeypatch.delenv(name)
        usual = {"DATA_DIR": str(tmp_path), "API_KEY": API_KEY, "PORT": "0"}
        for name, value in {**usual, **settings}.items():
            monkeypatch.setenv(PREFIX + name, value)
        monkeypatch.chdir(tmp_path)
        status = main([])
        return status, capsys.readouterr().err

    return run


def _run(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if "GROUPLINE" not in name}
    settings = {"DATA_DIR": str(data_dir / "data"), "API_KEY": API_KEY, "PORT": "0", **environment}
    return subprocess.run(
        [sys.executable, "-m", "groupline_gateway", *arguments],
        env={**clean, **{PREFIX + name: value for name, value in settings.items()}},
        cwd=data_dir,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "many", "integer"),
        ("PORT", "70000", "65535"),
        ("ENGINE", "pigeon", "whatsmeow"),
        ("API_KEY", "short", "16"),
        ("WEBHOOK_SECRET", "plain", "whsec_"),
        ("WEBHOOK_SECRET", "whsec_c2hvcnQ=", "16 bytes"),
        ("WEBHOOK_URL", "127.0.0.1:8420", "http://"),
        ("HOST", "0.0.0.0", "ALLOW_REMOTE"),
        ("HOST", "192.0.2.1", "ALLOW_REMOTE"),
        ("LOG_FORMAT", "loud", "json"),
        ("DATA_DIR", "/proc/nowhere", "/proc/nowhere"),
        ("PARENT_PID", "0", "greater"),
    ],
)
def test_a_wrong_setting_stops_the_start_by_name(
    start: Start, name: str, value: str, reason: str
) -> None:
    status, told = start(**{name: value})
    assert status == 2
    assert f"{PREFIX}{name}: " in told
    assert reason in told


def test_every_wrong_setting_is_named_at_once(start: Start) -> None:
    status, told = start(PORT="many", LOG_FORMAT="loud")
    assert status == 2
    assert [line.split(":")[0] for line in told.splitlines()] == [
        f"{PREFIX}PORT",
        f"{PREFIX}LOG_FORMAT",
    ]


def test_a_webhook_address_needs_its_secret(start: Start) -> None:
    status, told = start(WEBHOOK_URL="http://127.0.0.1:8420/hooks/1")
    assert status == 2
    assert f"{PREFIX}WEBHOOK_SECRET: " in told


def test_an_engine_that_is_not_there_is_refused_as_a_process(tmp_path: Path) -> None:
    ended = _run(tmp_path, "--engine", "telegram")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == f"{PREFIX}ENGINE: Input should be 'simulator' or 'whatsmeow'\n"


async def test_a_taken_port_and_a_taken_store_are_told(tmp_path: Path) -> None:
    async with gateway_process(tmp_path / "first") as running:
        port = running.url.rsplit(":", 1)[1]
        taken = await asyncio.to_thread(_run, tmp_path, PORT=port)
        assert taken.returncode == 2
        assert f"{PREFIX}PORT: 127.0.0.1:{port}: " in taken.stderr
        shared = await asyncio.to_thread(_run, tmp_path, DATA_DIR=str(tmp_path / "first"))
        assert shared.returncode == 2
        assert "another gateway is running" in shared.stderr


async def test_it_stops_cleanly_when_told_to(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as process, process.client() as gateway:
        await gateway.get("/health")
        assert await process.terminate() == 0


async def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """The parent here is a shell that starts the gateway and is then killed."""
    starter = (
        "import os, subprocess, sys\n"
        f"environment = {{**os.environ, '{PREFIX}PARENT_PID': str(os.getpid())}}\n"
        "child = subprocess.Popen([sys.executable, '-m', 'groupline_gateway'], env=environment)\n"
        "print('pid', child.pid, flush=True)\n"
        "child.wait()\n"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if "GROUPLINE" not in name},
        f"{PREFIX}DATA_DIR": str(tmp_path / "data"),
        f"{PREFIX}API_KEY": API_KEY,
        f"{PREFIX}PORT": "0",
    }
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        starter,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    lines = [(await parent.stdout.readline()).decode() for _ in range(2)]
    assert any(" on http" in line for line in lines)
    parent.kill()
    # The gateway holds the other end of this pipe: it ends when the gateway does.
    async with asyncio.timeout(60):
        await parent.stdout.read()
    await parent.wait()


async def test_a_key_is_made_once_and_kept_to_the_owner(tmp_path: Path) -> None:
    async with gateway_process(tmp_path, without=("API_KEY",)) as process:
        key, mode = _key_of(tmp_path)
        assert len(key) >= 32
        assert mode == 0o600
        await process.kill()
        await process.start()
        assert _key_of(tmp_path) == (key, mode)


async def test_it_starts_fast_and_stays_small(tmp_path: Path) -> None:
    async with gateway_process(tmp_path, GROUPLINE_GATEWAY_DEMO_PHONES="true") as process:
        # Its own time, not the wall's: the machine may be busy with other tests.
        assert _cpu_seconds(process.pid) < 2.5
        async with process.client() as gateway:
            await gateway.get("/sim/phones")
        assert _resident_megabytes(process.pid) < 75


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.log"
    path.touch()
    return path


def _key_of(data_dir: Path) -> tuple[str, int]:
    path = data_dir / "api_key"
    return path.read_text(), path.stat().st_mode & 0o777


def _resident_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_the_log_holds_no_secrets(tmp_path: Path, log_file: Path) -> None:
    with log_file.open("w") as log:
        async with gateway_process(
            tmp_path / "data",
            stderr=log,
            GROUPLINE_GATEWAY_LOG_LEVEL="DEBUG",
            GROUPLINE_GATEWAY_WEBHOOK_URL="http://127.0.0.1:9/hooks/1",
        ) as process:
            async with process.client() as gateway:
                jid, *_ = await gateway.connect()
                await gateway.post("/connect", {"sessionId": "wa_2"})
                code = (await gateway.get("/status/wa_2"))["qr"]
                await gateway.send(jid, "ref-1", text="the secret of the day")
                await gateway.post("/sim/phones/919876543210/unlink")
            await process.terminate()
    text = await asyncio.to_thread(log_file.read_text)
    assert "session.connected" in text
    assert "webhook.receiver_away" in text
    for secret in ("919876543210", "the secret of the day", code, API_KEY, WEBHOOK_SECRET):
        assert secret not in text
