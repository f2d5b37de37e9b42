"""Rows due in the database → HTTP to a gateway that answers at once → results in the database."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.support.databases import Postgres, in_own_loop, migrated, postgres_server

from bench.figures import Figure

MESSAGES, NUMBERS, RUNS = 10_000, 200, 1
TARGET_OF_FLOOR = 0.5
TARGET_OF_TWO = 1.5

Opened = Callable[[], AbstractContextManager[str]]


async def run() -> list[Figure]:
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    with _instant_gateway() as gateway, postgres_server() as server:
        kinds: dict[str, Opened] = {"SQLite": _sqlite, "PostgreSQL": lambda: _postgres(server)}
        rate = _floor(gateway)
        ours = {kind: _rate(opened, gateway) for kind, opened in kinds.items()}
        two = _rate(kinds["PostgreSQL"], gateway, processes=2)
    figures = [
        Figure(
            f"{MESSAGES:,} messages over {NUMBERS} numbers, {kind}",
            figure,
            rate,
            "/s",
            "the HTTP client alone",
            TARGET_OF_FLOOR,
            "above",
        )
        for kind, figure in ours.items()
    ]
    return [
        *figures,
        Figure(
            "the same with two workers, PostgreSQL",
            two,
            ours["PostgreSQL"],
            "/s",
            "one worker",
            TARGET_OF_TWO,
            "above",
        ),
    ]


def _floor(gateway: str) -> float:
    return statistics.median(
        MESSAGES / _child("floor", gateway, str(MESSAGES)) for _ in range(RUNS)
    )


def _rate(opened: Opened, gateway: str, *, processes: int = 1) -> float:
    return statistics.median(_one_run(opened, gateway, processes) for _ in range(RUNS))


def _one_run(opened: Opened, gateway: str, processes: int) -> float:
    with opened() as url:
        environment = {"BENCH_DATABASE_URL": url}
        _child("prepare", gateway, str(MESSAGES), str(NUMBERS), **environment)
        start_at = str(time.time() + 2.0)
        running = [_start("dispatch", start_at, **environment) for _ in range(processes)]
        seconds = max(_finish(each) for each in running)
        if _child("check", **environment) != MESSAGES:
            raise AssertionError("not every message was sent")
    return MESSAGES / seconds


def _child(*arguments: str, **environment: str) -> float:
    return _finish(_start(*arguments, **environment))


def _start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "bench._outbox_child", *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def _finish(process: "subprocess.Popen[str]") -> float:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, "a measurement failed"
    return float(json.loads(output.splitlines()[-1]))


@contextmanager
def _instant_gateway() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._instant_gateway"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'outbox.db'}"
        in_own_loop(migrated(url))
        yield url


@contextmanager
def _postgres(server: Postgres) -> Iterator[str]:
    with server.empty() as url:
        in_own_loop(migrated(url))
        yield url
