"""Structured logs: events with fields, and never a text, a code, a secret or a full number."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TypeAlias

import structlog

from groupline_gateway import VERSION

LogFormat = Literal["auto", "console", "json"]

_SECRET_FIELDS = frozenset(
    """api_key authorization password proxy secret webhook_secret qr pairing_code
    message text body payload""".split()
)
_PHONE = re.compile(r"(?<![\w-])\+?\d{10,15}(?![\w-])")

Event: TypeAlias = MutableMapping[str, Any]


def mask_phone(phone: str) -> str:
    """Enough of a number to recognise it by, and no more."""
    return f"{phone[:4]}…{phone[-2:]}"


def _without_secrets(_logger: Any, _method: str, event: Event) -> Event:
    for name, value in event.items():
        if name in _SECRET_FIELDS:
            event[name] = "[removed]"
        elif isinstance(value, str) and name != "timestamp":
            event[name] = _PHONE.sub(lambda match: mask_phone(match.group()), value)
    return event


def _with_build(_logger: Any, _method: str, event: Event) -> Event:
    event["build"] = f"gateway {VERSION}"
    return event


def configure_logging(log_format: LogFormat, level: str) -> None:
    """Send structlog and the standard library through one pipe to stderr."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_build,
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    render: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    _route_standard_logging(shared, render, level)


def _route_standard_logging(
    shared: list[structlog.types.Processor], render: structlog.types.Processor, level: str
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
