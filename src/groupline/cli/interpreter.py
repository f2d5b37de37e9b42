"""How the interpreter collects garbage and switches threads, in commands and in long-running
processes."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NEW_OBJECTS: Final = 50_000
_TURN_SECONDS: Final = 0.0003


@contextmanager
def loading() -> Iterator[None]:
    """Of what is imported and built here next to nothing is garbage. The collector does not look
    for it, which would take a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tune() -> None:
    """For a process that sends, or serves, from now on."""
    _look_at_new_objects()
    _let_others_in()


def _look_at_new_objects() -> None:
    """What the process has loaded stays for as long as it lives: the collector looks past it, and
    less often. Otherwise it takes a third of the time of a busy worker, to find next to nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def _let_others_in() -> None:
    """The thread that writes to SQLite asks for the interpreter after each of its statements. By
    default a busy event loop lets it wait 5 ms each time, which is longer than the statement."""
    sys.setswitchinterval(_TURN_SECONDS)
