"""Loading neonize: offline, small, and without its habits. Only in a worker process.

Importing neonize sets up the root logger, and downloads its library where that is missing. It also
imports packages that serve helpers of its own, which we do not call: one of them needs a library
of the operating system, others cost 20 MB in every worker. Stand-ins take their places.
"""

import importlib.metadata
import importlib.util
import logging
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from groupline_gateway.engines.whatsmeow import overheard
from groupline_gateway.engines.whatsmeow.port import Emit, LibraryMissing
from groupline_gateway.engines.whatsmeow.protocol import Happening
from groupline_gateway.engines.whatsmeow.redaction import redact

_NOT_NEEDED = ("magic", "linkpreview", "requests", "httpx", "tqdm")
_SUFFIXES = {"linux": "so", "darwin": "dylib", "windows": "dll"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class _StandIn(ModuleType):
    """Whatever is asked of it exists, and refuses to be used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: object, **__: object) -> None:
            raise RuntimeError(f"{self.__name__}.{name} is not part of this gateway")

        return refuse


def prepare(emit: Emit) -> None:
    """What has to be so before neonize is imported. Raises ``LibraryMissing``."""
    _require_library()
    _take_over_logging(emit)
    for name in _NOT_NEEDED:
        sys.modules.setdefault(name, _StandIn(name))
    download = _StandIn("neonize.download")
    # neonize compares this with what its library says, and would fetch another one.
    download.__dict__["__GONEONIZE_VERSION__"] = importlib.metadata.version("neonize")
    sys.modules.setdefault("neonize.download", download)


def _require_library() -> None:
    found = importlib.util.find_spec("neonize")
    if found is None or found.origin is None:
        raise LibraryMissing("The package neonize is not installed; install Groupline again.")
    name = library_name(platform.system(), platform.machine())
    if not (Path(found.origin).parent / name).exists():
        raise LibraryMissing(
            f"The package neonize has no library for this machine ({name} is missing). Install it "
            "again, or run the gateway on Linux, macOS or Windows with an x86-64 or ARM processor."
        )


def library_name(system: str, machine: str) -> str:
    """As neonize names the file for an operating system and a processor."""
    system, machine = system.lower(), machine.lower()
    return f"neonize-{system}-{_MACHINES.get(machine, machine)}.{_SUFFIXES.get(system, 'so')}"


def _take_over_logging(emit: Emit) -> None:
    """The library's words go to the gateway, which logs them: as warnings, and redacted."""
    root = logging.getLogger()
    root.handlers[:] = [_ToGateway(emit)]
    root.setLevel(logging.WARNING)
    # Its level is the one that the library itself is started with.
    logging.getLogger("neonize.utils.log").setLevel(logging.WARNING)
    # Complains at every connect about programs that only its media helpers need.
    logging.getLogger("neonize.utils.ffmpeg").setLevel(logging.ERROR)


class _ToGateway(logging.Handler):
    def __init__(self, emit: Emit) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        fact = overheard.fact_of(text)
        if fact is not None:
            self._emit(fact)
        self._emit(
            {
                "event": Happening.LOG,
                "level": record.levelname.lower(),
                "source": record.name,
                "text": redact(text),
            }
        )
