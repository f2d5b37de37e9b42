"""The shipped simulator in its own process, and a hand on its `/sim` calls."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

KEY = "a-key-for-the-simulator"
_START = (sys.executable, "-m", "groupline_gateway", "--port", "0")


class SimulatorProcess:
    """Can be killed by its own faults, and started again on what it had stored."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        environment = {
            **os.environ,
            "GROUPLINE_GATEWAY_API_KEY": KEY,
            "GROUPLINE_GATEWAY_PARENT_PID": str(os.getpid()),
            "GROUPLINE_GATEWAY_DEMO_PHONES": "false",
            "GROUPLINE_GATEWAY_LOG_LEVEL": "ERROR",
        }
        self._process = subprocess.Popen(
            [*_START, "--data-dir", str(self._data_dir)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert " on http://" in line, f"the simulator did not start: {line!r}"
        self.url = line.split()[-1]

    def wait_until_dead(self) -> None:
        """It was told to crash; reap it."""
        assert self._process is not None
        self._process.communicate(timeout=60)

    def stop(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        self._process.communicate(timeout=60)


@dataclass
class Simulator:
    """One test's view: its own phone, its own faults."""

    process: SimulatorProcess
    http: aiohttp.ClientSession
    number: str

    async def call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"X-API-Key": KEY}
        url = f"{self.process.url}/sim{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            document = await answer.json()
            assert answer.status < 300, document
            return document

    async def fault(self, rule: Mapping[str, object]) -> None:
        await self.call("POST", "/faults", rule)

    async def speak(self, dialect: Mapping[str, object]) -> None:
        await self.call("PUT", "/dialect", dialect)

    async def copies(self, client_ref: str) -> int:
        counts = await self.call("GET", "/deliveries/counts")
        return sum(row["copies"] for row in counts["counts"] if row["clientRef"] == client_ref)

    async def copies_of_text(self, text: str) -> int:
        counts = await self.call("GET", "/deliveries/counts?by=text")
        return sum(row["copies"] for row in counts["counts"] if row["text"] == text)
