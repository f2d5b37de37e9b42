"""The first run, and the first password of a new member: what one-time links open."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from groupline.errors import InvalidInput
from groupline.gateways.service import list_gateways
from groupline.http.auth import client_of, own_site_only, page_allowed, set_login_cookie
from groupline.http.context import CurrentRuntime
from groupline.orgs.links import open_link
from groupline.orgs.rules import RENAMED_TIMEZONES, Permission, Principal, timezone_names
from groupline.orgs.setup import FirstRunInput, choose_password, set_up
from groupline.runtime import Runtime
from groupline.web.rendering import CurrentPages, Pages

router = APIRouter()

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Password = Annotated[str, Form(max_length=4096)]
_EMPTY = {"organizationName": "", "name": "", "email": "", "timezone": ""}


@router.get("/setup/{token}")
async def setup(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, token: str
) -> Response:
    async with runtime.database.reading() as session:
        link, email = await open_link(session, token, now=runtime.clock.now())
    if link.purpose == "first_run":
        return _first_run_page(request, pages, token, _EMPTY)
    return _password_page(request, pages, token, email or "")


@router.post("/setup/{token}", dependencies=[Depends(own_site_only)])
async def create_owner(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    token: str,
    organization_name: Annotated[str, Form(alias="organizationName")],
    name: Annotated[str, Form()],
    email: Annotated[str, Form(max_length=1000)],
    password: Password,
    timezone: Annotated[str, Form()],
) -> Response:
    wanted = FirstRunInput(
        organization_name=organization_name,
        timezone=timezone,
        name=name,
        email=email,
        password=password,
    )
    try:
        _, login = await set_up(
            runtime.database,
            runtime.clock,
            token,
            wanted,
            client=client_of(request),
            lifetime=timedelta(days=runtime.settings.login_days),
        )
    except InvalidInput as error:
        values = {
            "organizationName": organization_name,
            "name": name,
            "email": email,
            "timezone": timezone,
        }
        return _first_run_page(request, pages, token, values, errors=error.fields)
    response = pages.redirect("/welcome")
    set_login_cookie(response, runtime, login)
    return response


@router.post("/setup/{token}/password", dependencies=[Depends(own_site_only)])
async def first_password(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, token: str, password: Password
) -> Response:
    try:
        login = await choose_password(
            runtime.database,
            runtime.clock,
            token,
            password,
            client=client_of(request),
            lifetime=timedelta(days=runtime.settings.login_days),
        )
    except InvalidInput as error:
        email = await _email_of(runtime, token)
        return _password_page(request, pages, token, email, errors=error.fields)
    response = pages.redirect("/", toast=("success", "Your password was saved."))
    set_login_cookie(response, runtime, login)
    return response


@router.get("/welcome")
async def welcome(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Reader
) -> Response:
    """What to do first: try it with phones that exist only here, or connect a real one."""
    async with runtime.database.reading() as session:
        engines = {row.engine for row in await list_gateways(session) if row.enabled}
    return pages.render(
        request,
        "setup_welcome.html",
        may_connect=principal.may(Permission.CONNECT),
        may_register=principal.may(Permission.INSTALLATION),
        has_simulator="simulator" in engines,
        has_whatsapp=bool(engines - {"simulator"}),
    )


async def _email_of(runtime: Runtime, token: str) -> str:
    async with runtime.database.reading() as session:
        _, email = await open_link(session, token, now=runtime.clock.now())
    return email or ""


def _first_run_page(
    request: Request,
    pages: Pages,
    token: str,
    values: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
) -> Response:
    return pages.render(
        request,
        "setup.html",
        status=422 if errors else 200,
        token=token,
        values=values,
        errors=errors or {},
        timezones=[(name, name) for name in timezone_names(values["timezone"])],
        renamed_timezones=RENAMED_TIMEZONES,
    )


def _password_page(
    request: Request,
    pages: Pages,
    token: str,
    email: str,
    *,
    errors: dict[str, str] | None = None,
) -> Response:
    return pages.render(
        request,
        "setup_password.html",
        status=422 if errors else 200,
        token=token,
        email=email,
        errors=errors or {},
    )
