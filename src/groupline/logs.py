"""Structured logs: events with fields, the build on every line, and never a secret."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TypeAlias

import structlog

from groupline.settings import LogFormat

_SECRET_FIELDS = frozenset(
    """authorization cookie token api_key apikey key password secret webhook_secret secret_key
    proxy qr qr_code qr_text pairing_code content message text body payload""".split()
)
_PHONE = re.compile(r"(?<![\w-])\+?\d{10,15}(?![\w-])")

Event: TypeAlias = MutableMapping[str, Any]


def _mask_phone(match: re.Match[str]) -> str:
    digits = match.group()
    return f"{digits[:4]}…{digits[-2:]}"


def _without_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """The last net under every log call: secrets by name, phone numbers by their shape."""
    for name, value in event.items():
        if name in _SECRET_FIELDS:
            event[name] = "[removed]"
        elif isinstance(value, str) and name != "timestamp":
            event[name] = _PHONE.sub(_mask_phone, value)
    return event


def configure_logging(log_format: LogFormat, *, build: str, level: str = "INFO") -> None:
    """Route structlog and the standard library through the same pipe to stderr."""

    def with_build(_logger: Any, _method: str, event: Event) -> Event:
        event["build"] = build
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        with_build,
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    render: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn", "uvicorn.error", "aiosqlite", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
