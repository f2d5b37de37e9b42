"""Outside ``/api``: is this process alive, can it do its work, and which build is it."""

import asyncio
from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from groupline.build import current_build, current_version
from groupline.db import migrate
from groupline.db.failures import is_unreachable
from groupline.db.punctual import PROBE_SECONDS, patience
from groupline.heartbeat import living_workers
from groupline.http.context import CurrentRuntime
from groupline.messages.overdue import count_overdue
from groupline.runtime import Runtime

READY_SECONDS: Final = 5.0
"""Those who watch give up after ten, mostly, and then know less."""

router = APIRouter()


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers. It says nothing about the database."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(runtime: CurrentRuntime) -> Response:
    """The database answers, a worker is alive, and no message is overdue without a reason."""
    checks = await readiness(runtime)
    ready = all(check["ok"] for check in checks.values())
    return JSONResponse(
        {"status": "ready" if ready else "not_ready", "checks": checks},
        status_code=200 if ready else 503,
    )


@router.get("/version")
async def version(runtime: CurrentRuntime) -> dict[str, str]:
    return {
        "version": current_version(),
        "build": current_build(),
        "startedAt": runtime.started_at.isoformat(),
    }


async def readiness(runtime: Runtime) -> dict[str, dict[str, Any]]:
    """One entry per check; a database that does not answer fails them all."""
    now = runtime.clock.now()
    try:
        with patience(PROBE_SECONDS):
            async with asyncio.timeout(READY_SECONDS), runtime.database.reading() as session:
                workers = await living_workers(session, now)
                overdue = await count_overdue(session, now)
    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
        return {"database": {"ok": False, "detail": await _trouble(runtime, error)}}
    return {
        "database": {"ok": True, "kind": runtime.database.dialect},
        "worker": {"ok": workers > 0, "alive": workers},
        "overdueMessages": {"ok": overdue == 0, "count": overdue},
    }


async def _trouble(runtime: Runtime, error: Exception) -> str:
    if isinstance(error, OSError) or is_unreachable(error):
        return "The database cannot be reached."
    try:
        async with asyncio.timeout(READY_SECONDS):
            is_old = await migrate.needed(runtime.database)
    except (SQLAlchemyError, OSError):
        is_old = False
    if is_old:
        return "The schema is not what this build needs: run 'groupline db upgrade'."
    return f"The database cannot answer ({type(error).__name__})."
