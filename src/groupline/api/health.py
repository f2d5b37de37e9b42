"""Outside ``/api``: is this process alive, can it do its work, and which build is it."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from groupline.build import current_build, current_version
from groupline.heartbeat import living_workers
from groupline.http.context import CurrentRuntime
from groupline.messages.overdue import count_overdue
from groupline.runtime import Runtime

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
        async with runtime.database.reading() as session:
            workers = await living_workers(session, now)
            overdue = await count_overdue(session, now)
    except (SQLAlchemyError, OSError) as error:
        why = f"The database does not answer ({type(error).__name__})."
        return {"database": {"ok": False, "detail": why}}
    return {
        "database": {"ok": True, "kind": runtime.database.dialect},
        "worker": {"ok": workers > 0, "alive": workers},
        "overdueMessages": {"ok": overdue == 0, "count": overdue},
    }
