"""Identifiers: UUID version 7, so that new rows land at the end of every index."""

import os
import threading
import time
import uuid

_RANDOM_BITS = 62
_COUNTER_BITS = 12


class _Sequence:
    """Hands out (millisecond, counter) pairs that only ever grow within this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        with self._lock:
            now = time.time_ns() // 1_000_000 << _COUNTER_BITS
            self._last = max(now, self._last + 1)
            return self._last


_sequence = _Sequence()


def new_id() -> uuid.UUID:
    """A new UUIDv7 that sorts after every id this process made before."""
    tick = _sequence.next()
    milliseconds, counter = tick >> _COUNTER_BITS, tick & ((1 << _COUNTER_BITS) - 1)
    random = int.from_bytes(os.urandom(8)) & ((1 << _RANDOM_BITS) - 1)
    value = milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random
    return uuid.UUID(int=value)
