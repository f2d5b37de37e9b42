"""The names that people give to templates and sequences. Pure."""

from collections.abc import Collection
from datetime import datetime
from itertools import count


def name_of_copy(name: str, taken: Collection[str], *, most: int) -> str:
    """“Reminder (copy)”, then “Reminder (copy 2)”, never longer than a name may be."""
    for number in count(1):
        suffix = " (copy)" if number == 1 else f" (copy {number})"
        candidate = name[: most - len(suffix)].rstrip() + suffix
        if candidate not in taken:
            return candidate
    raise AssertionError("count() does not end")


def name_when_removed(name: str, now: datetime) -> str:
    """Gives the name free, and says to whom it still concerns what became of it."""
    return f"{name} (removed {now:%Y-%m-%d %H:%M:%S.%f} UTC)"
