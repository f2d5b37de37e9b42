"""``make bench``: runs every bench, or those named, and prints one table."""

import asyncio
import importlib
import pkgutil
import sys

import bench
from bench.figures import Figure, table

_NOT_BENCHES = frozenset(("__main__", "figures"))


def names() -> list[str]:
    found = {module.name for module in pkgutil.iter_modules(bench.__path__)}
    return sorted(name for name in found - _NOT_BENCHES if not name.startswith("_"))


def main(wanted: list[str]) -> int:
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        print(f"No bench is called {', '.join(unknown)}. There are: {', '.join(names())}.")
        return 2
    figures: list[Figure] = []
    for name in wanted or names():
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += asyncio.run(importlib.import_module(f"bench.{name}").run())
    print(table(figures))
    return 0 if all(figure.holds for figure in figures) else 1


sys.exit(main(sys.argv[1:]))
