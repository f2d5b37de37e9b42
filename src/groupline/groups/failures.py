"""Why a sync failed, in the words of the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from groupline.db.failures import OutcomeUnknown, reason
from groupline.errors import DatabaseFailed, GrouplineError, NumberNotConnected

log = structlog.get_logger(__name__)


def failure_facts(failure: GrouplineError) -> dict[str, Any]:
    return {
        "success": False,
        "error": failure.detail,
        "vpsCount": failure.extra.get("vpsCount", 0),
        "savedCount": 0,
    }


@asynccontextmanager
async def database_errors(*, vps_count: int) -> AsyncIterator[None]:
    """What a database refuses, or a lost connection to it, becomes ``DatabaseFailed``."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        code, details = reason(error)
        log.error("groups.save_failed", error=type(error).__name__, code=code, details=details)  # noqa: TRY400 - a trace would repeat the values of the statement
        raise DatabaseFailed(
            f"{_what_became_of_them(error)}: {details or code}",
            upstreamCode=code,
            details=details or code,
            vpsCount=vps_count,
        ) from error


def _what_became_of_them(error: Exception) -> str:
    if isinstance(error, OutcomeUnknown):
        return (
            "The connection to the database broke while the groups were being saved: all of them "
            "were, or none. Sync again"
        )
    return "The database could not save the groups, and nothing was changed"


def not_connected() -> NumberNotConnected:
    detail = "This number is not connected, so its groups cannot be asked for."
    return NumberNotConnected(
        detail,
        hint="Reconnect it under Settings → WhatsApp connection.",
        success=False,
        error=detail,
        vpsCount=0,
        savedCount=0,
        state="not_connected",
    )
