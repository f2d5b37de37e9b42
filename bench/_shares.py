"""A machine of many slower processors, made out of one of few.

Whether two workers do more than one is seen only where the processors are not what both wait for.
Here each process may use a share of a processor, and no more: as long as the shares of those that
are busy fit into this machine, each runs as on a slower processor of its own. Linux allows it by
control groups, of the first version and of the second, and usually only to root.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

_PERIOD_MICROSECONDS: Final = 4_000
_LOOK_SECONDS: Final = 0.05
_FIRST_VERSION: Final = Path("/sys/fs/cgroup/cpu")
_SECOND_VERSION: Final = Path("/sys/fs/cgroup")


def can_share() -> bool:
    with contextlib.suppress(OSError), _Group(os.getpid(), 1.0):
        return True
    return False


@contextlib.contextmanager
def limited(share: float) -> Iterator[None]:
    """Every process that descends from this one, now or later, has so much of a processor."""
    with contextlib.ExitStack() as groups:
        known: set[int] = set()

        def limit() -> None:
            for process in _descendants(os.getpid()) - known:
                known.add(process)
                groups.enter_context(_Group(process, share))

        limit()
        with _repeated(limit):
            yield


@contextlib.contextmanager
def _repeated(act: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(_LOOK_SECONDS):
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Group(contextlib.AbstractContextManager["_Group"]):
    """A control group of one process; one that has ended meanwhile is no fault."""

    def __init__(self, process: int, share: float) -> None:
        is_first_version = _FIRST_VERSION.is_dir()
        self._parent = _FIRST_VERSION if is_first_version else _SECOND_VERSION
        self._home = self._parent / f"groupline-bench-{process}"
        self._home.mkdir()
        try:
            for name, value in _settings(share, is_first_version).items():
                (self._home / name).write_text(value)
            with contextlib.suppress(ProcessLookupError):
                (self._home / "cgroup.procs").write_text(str(process))
        except BaseException:
            self._home.rmdir()
            raise

    def __exit__(self, *_: object) -> None:
        for process in (self._home / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (self._parent / "cgroup.procs").write_text(process)
        self._home.rmdir()


def _settings(share: float, is_first_version: bool) -> Mapping[str, str]:
    """No more than the share; but that goes before whatever else the machine does."""
    quota, period = str(int(_PERIOD_MICROSECONDS * share)), str(_PERIOD_MICROSECONDS)
    if is_first_version:
        return {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota, "cpu.shares": "102400"}
    return {"cpu.max": f"{quota} {period}", "cpu.weight": "10000"}


def _descendants(ancestor: int) -> set[int]:
    parents: dict[int, int] = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            after_the_name = each.read_text().rpartition(")")[2]
            parents[int(each.parent.name)] = int(after_the_name.split()[1])
    found: set[int] = set()
    generation = {ancestor}
    while generation:
        generation = {child for child, parent in parents.items() if parent in generation}
        found |= generation
    return found
