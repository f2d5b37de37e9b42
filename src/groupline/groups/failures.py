"""Why a sync failed, in the words of the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

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
        code, details = _database_words(error)
        log.error("groups.save_failed", error=type(error).__name__, code=code, details=details)  # noqa: TRY400 - a trace would repeat the values of the statement
        raise DatabaseFailed(
            f"The database could not save the groups, and nothing was changed: {details}",
            upstreamCode=code,
            details=details,
            vpsCount=vps_count,
        ) from error


def _database_words(error: Exception) -> tuple[str, str]:
    """The database's own code and first line, without the statement and its values."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig else error
    code = (
        getattr(original, "sqlstate", None)
        or getattr(original, "sqlite_errorname", None)
        or type(original).__name__
    )
    words = str(original).strip().splitlines()
    return code, words[0][:300] if words else code


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
