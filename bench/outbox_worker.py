"""A worker beside its floor: reminders due at once, a campaign in the way, and idleness."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

from tests.support.databases import Postgres, postgres_server

from bench._outbox_worker import NUMBERS, PACE, REMINDERS
from bench.figures import Figure
from bench.outbox import Opened, instant_gateway, postgres_file, sqlite_file

_ROUNDS = 3
_PACE_WITH_JITTER = PACE * 1.1
_NOW_SECONDS = 0.05


async def run() -> list[Figure]:
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    with instant_gateway() as gateway, postgres_server(durable=True) as server:
        return [*_figures("SQLite", sqlite_file, gateway), *_on_postgres(server, gateway)]


def _on_postgres(server: Postgres, gateway: str) -> list[Figure]:
    return _figures("PostgreSQL", lambda: postgres_file(server), gateway)


def _figures(kind: str, opened: Opened, gateway: str) -> list[Figure]:
    pairs = [
        (_child("reminders", opened, gateway), _child("bare", opened, gateway))
        for _ in range(_ROUNDS)
    ]
    late, bare = sorted(pairs, key=lambda pair: pair[0] / pair[1])[_ROUNDS // 2]
    campaign = _child("campaign", opened, gateway)
    now = _child("now", opened, gateway)
    idle = _child("idle", opened, gateway)
    return [
        Figure(
            f"p99 lateness of {REMINDERS:,} reminders at once over {NUMBERS} numbers, {kind}",
            late * 1000,
            bare * 1000,
            "ms",
            "a bare loop of claim and HTTP",
            2.0,
        ),
        Figure(
            f"longest delay of a reminder during a campaign of 1,000, {kind}",
            campaign * 1000,
            (_PACE_WITH_JITTER + late) * 1000,
            "ms",
            "one pace interval, and the lateness without it",
            1.0,
        ),
        Figure(f"p95 of send now, {kind}", now * 1000, _NOW_SECONDS * 1000, "ms", "the limit", 1.0),
        Figure(f"an idle worker, {kind}", idle["queries"], 2.0, "queries/s", "the limit", 1.0),
        Figure(f"an idle worker, {kind}", idle["percent"], 1.0, "% of a core", "the limit", 1.0),
    ]


def _child(kind: str, opened: Opened, gateway: str) -> Any:
    with opened() as url:
        process = subprocess.run(
            [sys.executable, "-m", "bench._outbox_worker", kind, gateway],
            env=os.environ | {"BENCH_DATABASE_URL": url},
            stdout=subprocess.PIPE,
            text=True,
            timeout=300,
            check=True,
        )
    return json.loads(process.stdout.splitlines()[-1])
