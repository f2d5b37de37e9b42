"""What a request or a command has done to the database so far: for when it fails in the middle."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Ledger:
    begun: int = 0
    """Writing transactions."""
    committed: int = 0


_ledger: ContextVar[Ledger | None] = ContextVar("ledger", default=None)


@contextmanager
def keeping_ledger() -> Iterator[Ledger]:
    """Of what is written inside."""
    ledger = Ledger()
    before = _ledger.set(ledger)
    try:
        yield ledger
    finally:
        _ledger.reset(before)


def note_begun() -> None:
    if (ledger := _ledger.get()) is not None:
        ledger.begun += 1


def note_committed() -> None:
    if (ledger := _ledger.get()) is not None:
        ledger.committed += 1
