"""Rows due in the database → HTTP to a gateway that answers at once → results in the database.

Every round measures everything once, so that what else the machine does falls on all alike; of the
ratios of a figure the median counts.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import psycopg
from tests.support.databases import Postgres, in_own_loop, migrated, postgres_server

from bench._shares import can_share, limited
from bench.figures import Figure

MESSAGES, NUMBERS, ROUNDS = 10_000, 200, 5
SLOW_MESSAGES = 2_000
"""Enough to know the rate of a queue that takes a millisecond a job."""
TARGET_OF_FLOOR = 0.5
TARGET_OF_TWO = 1.5
ENOUGH_PROCESSORS = 4
"""One worker, its database and the gateway keep almost two processors busy: on two of them, two
workers could not be quicker than one, whatever they did."""
SLOW_SECONDS, WAITING_MESSAGES, WAITING_NUMBERS = 0.2, 4_000, 800
"""A gateway that takes its time. A worker waits for it, not for the processor: here it is seen if
two get into each other's way where there are few of these."""
SHARE = 0.3
"""Of a processor, for each process: two workers, a connection of the database for each, and the
gateway then fit into two, and each has what it needs whatever the others do."""
_LOG_FILES = 8
"""Of 16 MB: more than a measurement writes."""
_RIVALS = "bench._outbox_rivals"

Opened = Callable[[], AbstractContextManager[str]]
Round = Mapping[str, float]
"""Sends a second, by what sent them."""


async def run() -> list[Figure]:
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    with (
        instant_gateway() as gateway,
        instant_gateway(SLOW_SECONDS) as slow,
        postgres_server(durable=True) as server,
    ):
        rounds = [_round(gateway, slow, server) for _ in range(ROUNDS)]
    floor, one = "the HTTP client alone", "PostgreSQL"
    what = f"{MESSAGES:,} messages over {NUMBERS} numbers"
    has_enough = (os.cpu_count() or 1) >= ENOUGH_PROCESSORS
    return [
        _figure(rounds, f"{what}, SQLite", "SQLite", floor, TARGET_OF_FLOOR),
        _figure(rounds, f"{what}, PostgreSQL", one, floor, TARGET_OF_FLOOR),
        _figure(rounds, "the same on SQLite", "SQLite", "pgqueuer", 1.0),
        _figure(rounds, "the same on PostgreSQL", one, "pgqueuer", 1.0),
        _figure(rounds, "the same on PostgreSQL", one, "procrastinate", 1.0),
        _figure(
            rounds,
            "two workers, PostgreSQL",
            "two workers",
            one,
            TARGET_OF_TWO if has_enough else None,
        ),
        *_figures_of_shares(rounds),
        _figure(
            rounds, "what this machine gives to two of another queue", "two pgqueuers", "pgqueuer"
        ),
        _figure(
            rounds,
            f"two workers, PostgreSQL, a gateway that takes {SLOW_SECONDS * 1000:.0f} ms",
            "two on a slow gateway",
            "one on a slow gateway",
            TARGET_OF_TWO,
        ),
    ]


def _figures_of_shares(rounds: list[Round]) -> list[Figure]:
    if not can_share():
        print("Without control groups two workers cannot have processors of their own here.")
        return []
    what = f"two workers, PostgreSQL, {SHARE:g} of a processor for every process"
    return [_figure(rounds, what, "two with shares", "one with shares", TARGET_OF_TWO)]


def _age(server: Postgres) -> None:
    """As a server that has run for a while: the files of its log are there, to be used again. A new
    server makes one every few thousand messages, and everybody waits for it."""
    with server.empty() as url, psycopg.connect(url, autocommit=True) as connection:
        for _ in range(_LOG_FILES):
            connection.execute("SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal()")
        connection.execute("CHECKPOINT")


def _round(gateway: str, slow: str, server: Postgres) -> Round:
    def postgres() -> AbstractContextManager[str]:
        _age(server)
        return postgres_file(server)

    return {
        "the HTTP client alone": MESSAGES / _child("floor", gateway, str(MESSAGES)),
        "SQLite": _rate(sqlite_file, gateway),
        "PostgreSQL": _rate(postgres, gateway),
        "two workers": _rate(postgres, gateway, processes=2),
        "one on a slow gateway": _slow_rate(postgres, slow),
        "two on a slow gateway": _slow_rate(postgres, slow, processes=2),
        **(_with_shares(postgres, gateway) if can_share() else {}),
        "pgqueuer": _pgqueuer(server, gateway),
        "two pgqueuers": _pgqueuer(server, gateway, processes=2),
        "procrastinate": _procrastinate(server, gateway),
    }


def _with_shares(opened: Opened, gateway: str) -> Round:
    return {
        "one with shares": _rate(opened, gateway, share=SHARE),
        "two with shares": _rate(opened, gateway, processes=2, share=SHARE),
    }


def _figure(
    rounds: list[Round], what: str, ours: str, against: str, limit: float | None = None
) -> Figure:
    by_ratio = sorted(rounds, key=lambda each: each[ours] / each[against])
    middle = by_ratio[len(by_ratio) // 2]
    return Figure(what, middle[ours], middle[against], "/s", against, limit, "above")


def _pgqueuer(server: Postgres, gateway: str, *, processes: int = 1) -> float:
    _age(server)
    with server.empty() as url:
        asked = {"module": _RIVALS, "BENCH_DATABASE_URL": url}
        _finish(_start("enqueue", str(MESSAGES), **asked))
        seconds = _together([_start("pgqueuer", gateway, **asked) for _ in range(processes)])
        if _finish(_start("left", **asked)) != 0:
            raise AssertionError("pgqueuer left jobs behind")
    return MESSAGES / seconds


def _procrastinate(server: Postgres, gateway: str) -> float:
    _age(server)
    with server.empty() as url:
        asked = {"module": _RIVALS, "BENCH_DATABASE_URL": url}
        return SLOW_MESSAGES / _finish(
            _start("procrastinate", gateway, str(SLOW_MESSAGES), **asked)
        )


def _slow_rate(opened: Opened, gateway: str, *, processes: int = 1) -> float:
    size = (WAITING_MESSAGES, WAITING_NUMBERS)
    return _rate(opened, gateway, size=size, processes=processes)


def _rate(
    opened: Opened,
    gateway: str,
    *,
    size: tuple[int, int] = (MESSAGES, NUMBERS),
    processes: int = 1,
    share: float | None = None,
) -> float:
    """With so many messages over so many numbers, and so much of a processor for each process."""
    messages, numbers = size
    with opened() as url:
        environment = {"BENCH_DATABASE_URL": url}
        _child("prepare", gateway, str(messages), str(numbers), **environment)
        workers = [_start("dispatch", **environment) for _ in range(processes)]
        seconds = _together(workers, share)
        if _child("check", **environment) != messages:
            raise AssertionError("not every message was sent")
    return messages / seconds


def _together(processes: "Sequence[subprocess.Popen[str]]", share: float | None = None) -> float:
    """How long they take from the moment when all of them are ready."""
    for each in processes:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    with nullcontext() if share is None else limited(share):
        for each in processes:
            assert each.stdin is not None
            each.stdin.write("start\n")
            each.stdin.flush()
        return max(_finish(each) for each in processes)


def _child(*arguments: str, **environment: str) -> float:
    return _finish(_start(*arguments, **environment))


def _start(
    *arguments: str, module: str = "bench._outbox_child", **environment: str
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _finish(process: "subprocess.Popen[str]") -> float:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, "a measurement failed"
    return float(json.loads(output.splitlines()[-1]))


@contextmanager
def instant_gateway(seconds: float = 0.0) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._instant_gateway", str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def sqlite_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'outbox.db'}"
        in_own_loop(migrated(url))
        yield url


@contextmanager
def postgres_file(server: Postgres) -> Iterator[str]:
    with server.empty() as url:
        in_own_loop(migrated(url))
        yield url
