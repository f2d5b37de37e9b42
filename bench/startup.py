"""From the command to a served page, and the memory of the whole when idle."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

from bench.figures import Figure

_RUNS = 3
_PAGE_LIMIT_SECONDS = 3.0
_MEMORY_LIMIT_MEGABYTES = 250.0
_GIVE_UP_SECONDS = 60.0
_FLOOR = (
    "import aiohttp, alembic, fastapi, jinja2, psycopg, sqlalchemy.ext.asyncio, uvicorn, uvloop"
)


async def run() -> list[Figure]:
    """The floor of the start-up is a Python that imports the same libraries and does nothing."""
    floor = statistics.median(_seconds_to_import() for _ in range(_RUNS))
    starts = [_start() for _ in range(_RUNS)]
    seconds = statistics.median(start for start, _ in starts)
    megabytes = statistics.median(memory for _, memory in starts)
    return [
        Figure("start-up to a served page", seconds, floor, "s", "importing the libraries"),
        Figure("start-up to a served page", seconds, _PAGE_LIMIT_SECONDS, "s", "the limit", 1.0),
        Figure("idle memory", megabytes, _MEMORY_LIMIT_MEGABYTES, "MB", "the limit", 1.0),
    ]


def _seconds_to_import() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _FLOOR], check=True)
    return time.perf_counter() - started


def _start() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        with _running(Path(directory)) as (pid, port):
            while not _is_served(port):
                if time.perf_counter() - started > _GIVE_UP_SECONDS:
                    raise TimeoutError("Groupline did not serve its login page")
                time.sleep(0.005)
            seconds = time.perf_counter() - started
            time.sleep(3)  # what idles needs a moment to become idle
            return seconds, _resident_megabytes(pid)


@contextmanager
def _running(directory: Path) -> Iterator[tuple[int, int]]:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "GROUPLINE_DATA_DIR": str(directory),
        "GROUPLINE_PORT": str(port),
        "GROUPLINE_LOG_FORMAT": "json",
    }
    command = [str(Path(sys.executable).with_name("groupline")), "up"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)
    try:
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)


def _is_served(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _resident_megabytes(pid: int) -> float:
    """Of the process and its children; pages that they share are counted once (PSS)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(_proportional_kilobytes, [str(pid), *children])) / 1024


def _proportional_kilobytes(pid: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
