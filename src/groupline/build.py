"""Which code is running: the version, and a fingerprint that changes with every line of it."""

import hashlib
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

_CODE = frozenset((".py", ".html", ".css", ".js"))


@cache
def current_version() -> str:
    return version("groupline")


@cache
def current_build() -> str:
    """``GROUPLINE_BUILD`` where the deployment names one, else a digest of the files in use."""
    return os.environ.get("GROUPLINE_BUILD") or f"{current_version()}+{_digest()}"


def _digest() -> str:
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*")):
        if path.suffix in _CODE:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:10]
