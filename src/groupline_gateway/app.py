"""The application: the contract's calls, the engine's own, errors and documentation."""

from functools import partial
from http import HTTPStatus
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from groupline_gateway import VERSION
from groupline_gateway.auth import RequireApiKey
from groupline_gateway.clock import Clock
from groupline_gateway.contract import API_KEY_HEADER
from groupline_gateway.engines.port import Engine
from groupline_gateway.errors import FateUnknown, GatewayError, Rejected
from groupline_gateway.ledger import Ledger
from groupline_gateway.openapi import describe
from groupline_gateway.routes import contract_router
from groupline_gateway.settings import Settings
from groupline_gateway.store import Store

log = structlog.get_logger()

_DOCS = Path(__file__).parent / "static" / "docs.html"
_DESCRIPTION = f"""\
Groupline's own WhatsApp gateway. Every call needs the header `{API_KEY_HEADER}`; only `/health`
answers without it, and then says no more than that it is alive.

Every answer with a status of 400 or above is `{{"error": "…"}}`. After a 4xx, a 503 or a 502 with
`"success": false` nothing was sent; after a 500 or a 504 ask `/message-status`. A 404 without that
JSON means that the address does not exist here.
"""


def create_app(settings: Settings, engine: Engine, store: Store, clock: Clock) -> FastAPI:
    """The whole gateway as an ASGI application; starting its parts is up to the server."""
    app = FastAPI(
        title="Groupline gateway",
        version=VERSION,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(RequireApiKey, api_key=settings.effective_api_key),
            Middleware(_EngineLayer, engine=engine),
        ],
    )
    app.state.ledger = Ledger(store, engine, clock)
    # Taken as they are: ``include_router`` would build each of them a second time, and the building
    # is most of what a start of the gateway costs.
    app.router.routes.extend(contract_router(engine, app.state.ledger).routes)
    if engine.router is not None:
        app.router.routes.extend(engine.router.routes)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    _add_docs(app)
    _add_error_handlers(app)
    return app


class _EngineLayer:
    """Where an engine may stand between the server and the routes."""

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self._app = engine.wrap(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _add_docs(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_DOCS.read_text(encoding="utf-8"))


def _add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(FateUnknown, _fate_unknown)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected_error)


async def _gateway_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    said: dict[str, object] = {"error": error.text}
    if isinstance(error, Rejected):
        said["success"] = False
    return JSONResponse(said, status_code=error.status)


async def _fate_unknown(_request: Request, error: Exception) -> Response:
    assert isinstance(error, FateUnknown)
    said = {"error": error.text}
    if error.message_id is not None:
        said["messageId"] = error.message_id
    return JSONResponse(said, status_code=error.status)


async def _invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    text = "; ".join(_validation_sentence(item) for item in error.errors())
    return JSONResponse({"error": text}, status_code=400)


def _validation_sentence(item: dict[str, object]) -> str:
    location = item.get("loc")
    names = [str(part) for part in location[1:]] if isinstance(location, tuple) else []
    reason = str(item.get("msg", "is wrong")).removeprefix("Value error, ")
    return f"{'.'.join(names)}: {reason}" if names else reason


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        # No JSON on purpose: this is how a caller tells a missing route from a missing session.
        return PlainTextResponse("Not Found", status_code=404)
    return JSONResponse(
        {"error": str(error.detail)}, status_code=error.status_code, headers=error.headers
    )


async def _unexpected_error(request: Request, error: Exception) -> Response:
    log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
    return JSONResponse({"error": "The gateway failed; its log says why"}, status_code=500)
