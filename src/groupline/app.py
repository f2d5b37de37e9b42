"""The web application: routes, pages and what surrounds every request."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, Depends, FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from groupline.api import API_ROUTERS, ROOT_ROUTERS
from groupline.api.openapi import describe
from groupline.build import current_version
from groupline.http.auth import install_login_redirect
from groupline.http.middleware import EdgeMiddleware
from groupline.http.parameters import only_known_parameters
from groupline.http.problem import install_problem_handlers
from groupline.runtime import Runtime
from groupline.web import WEB_ROUTERS
from groupline.web.rendering import STATIC_DIR, Pages

API_PREFIX = "/api/v1"

Opened = Callable[[], AbstractAsyncContextManager[Runtime]]


def create_app(opened: Opened) -> FastAPI:
    """The application on the runtime that ``opened`` yields for as long as it serves."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened() as runtime:
            app.state.runtime = runtime
            yield

    app = FastAPI(
        title="Groupline",
        version=current_version(),
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    pages = app.state.pages = Pages()
    install_problem_handlers(app, pages.problem)
    install_login_redirect(app)
    api = APIRouter(prefix=API_PREFIX, dependencies=[Depends(only_known_parameters)])
    for router in API_ROUTERS:
        api.include_router(router)
    app.include_router(api)
    for router in (*ROOT_ROUTERS, *WEB_ROUTERS):
        app.include_router(router, include_in_schema=False)
    app.mount("/static", CachedStaticFiles(directory=STATIC_DIR), name="static")
    app.add_middleware(EdgeMiddleware)
    describe(app)
    return app


class CachedStaticFiles(StaticFiles):
    """Addresses carry a digest of the content, so a browser may keep a file for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if scope["query_string"].startswith(b"v="):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
