"""The settings of the interpreter of a process that sends, or serves."""

import gc
import sys
from typing import Final

_NEW_OBJECTS: Final = 50_000
_TURN_SECONDS: Final = 0.0003


def tune() -> None:
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
