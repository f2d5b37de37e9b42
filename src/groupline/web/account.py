"""Logging in and out, one's own account, and switching between organizations."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from groupline.errors import InvalidInput, NotFound, RateLimited, Unauthenticated
from groupline.http.auth import (
    CurrentPageLogin,
    clear_login_cookie,
    client_of,
    own_site_only,
    page_allowed,
    safe_next,
    set_login_cookie,
    set_organization_cookie,
    signed_in_or_none,
)
from groupline.http.context import CurrentRuntime
from groupline.orgs import queries
from groupline.orgs.logins import (
    change_own_name,
    change_own_password,
    end_login,
    end_other_logins,
    list_logins,
    log_in,
)
from groupline.orgs.rules import Permission, Principal
from groupline.orgs.schemas import SignedIn
from groupline.runtime import Runtime
from groupline.web.rendering import CurrentPages, Pages

router = APIRouter()

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Password = Annotated[str, Form(max_length=4096)]
_ACCOUNT = "/settings/account"


# Login


@router.get("/login")
async def login_page(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    next_url: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    target = safe_next(next_url)
    if await signed_in_or_none(request, runtime) is not None:
        return pages.redirect(target)
    return await _login_page(request, runtime, pages, target=target)


@router.post("/login", dependencies=[Depends(own_site_only)])
async def login(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    email: Annotated[str, Form(max_length=1000)],
    password: Password,
    next_url: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    target = safe_next(next_url)
    try:
        made = await log_in(
            runtime.database,
            runtime.clock,
            email=email,
            password=password,
            client=client_of(request),
            attempts=runtime.settings.login_attempts,
            lifetime=timedelta(days=runtime.settings.login_days),
        )
    except (Unauthenticated, RateLimited) as error:
        return await _login_page(request, runtime, pages, target=target, email=email, refused=error)
    response = pages.redirect(target)
    set_login_cookie(response, runtime, made)
    return response


async def _login_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    *,
    target: str,
    email: str = "",
    refused: Unauthenticated | RateLimited | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        is_set_up = await queries.any_user(session)
    response = pages.render(
        request,
        "login.html",
        status=refused.status if refused else 200,
        target=target,
        email=email,
        refused=refused,
        is_set_up=is_set_up,
    )
    if isinstance(refused, RateLimited):
        response.headers["Retry-After"] = str(refused.retry_after)
    return response


@router.post("/logout")
async def logout(runtime: CurrentRuntime, pages: CurrentPages, me: CurrentPageLogin) -> Response:
    async with runtime.database.writing() as session:
        await end_login(session, me, me.login_id, now=runtime.clock.now())
    response = pages.redirect("/login", toast=("success", "You are logged out."))
    clear_login_cookie(response)
    return response


@router.post("/organizations/{slug}/enter")
async def enter(
    runtime: CurrentRuntime, pages: CurrentPages, me: CurrentPageLogin, slug: str
) -> Response:
    """From now on pages show this organization."""
    for membership in me.memberships:
        if membership.slug == slug:
            response = pages.redirect("/")
            set_organization_cookie(response, runtime, membership)
            return response
    raise NotFound("There is no organization like this.")


# One's own account


@router.get(_ACCOUNT)
async def account(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    me: CurrentPageLogin,
) -> Response:
    return await _account_page(request, runtime, pages, principal, me)


@router.post(f"{_ACCOUNT}/name")
async def rename(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    me: CurrentPageLogin,
    name: Annotated[str, Form()],
) -> Response:
    try:
        async with runtime.database.writing() as session:
            await change_own_name(session, me, name, now=runtime.clock.now())
    except InvalidInput as error:
        return await _account_page(request, runtime, pages, principal, me, errors=error.fields)
    return pages.redirect(_ACCOUNT, toast=("success", "Your name was saved."))


@router.post(f"{_ACCOUNT}/password")
async def change_password(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    me: CurrentPageLogin,
    current: Annotated[str, Form(alias="currentPassword", max_length=4096)],
    new: Annotated[str, Form(alias="newPassword", max_length=4096)],
) -> Response:
    try:
        ended = await change_own_password(
            runtime.database,
            runtime.clock,
            me,
            current=current,
            new=new,
            client=client_of(request),
            attempts=runtime.settings.login_attempts,
        )
    except InvalidInput as error:
        return await _account_page(request, runtime, pages, principal, me, errors=error.fields)
    return pages.redirect(_ACCOUNT, toast=("success", f"Password changed. {_ended(ended)}"))


@router.post(f"{_ACCOUNT}/logins/end-others")
async def end_others(
    runtime: CurrentRuntime, pages: CurrentPages, me: CurrentPageLogin
) -> Response:
    async with runtime.database.writing() as session:
        ended = await end_other_logins(session, me, now=runtime.clock.now())
    return pages.redirect(_ACCOUNT, toast=("success", _ended(ended)))


@router.post(f"{_ACCOUNT}/logins/{{login_id}}/end")
async def end(
    runtime: CurrentRuntime, pages: CurrentPages, me: CurrentPageLogin, login_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        await end_login(session, me, login_id, now=runtime.clock.now())
    return pages.redirect(_ACCOUNT, toast=("success", "This login was ended."))


def _ended(count: int) -> str:
    if count == 0:
        return "You were logged in nowhere else."
    return "1 other login was ended." if count == 1 else f"{count} other logins were ended."


async def _account_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    me: SignedIn,
    *,
    errors: dict[str, str] | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        logins = await list_logins(session, me, now=runtime.clock.now())
    return pages.render(
        request,
        "settings_account.html",
        principal=principal,
        nav="account",
        status=422 if errors else 200,
        errors=errors or {},
        logins=logins,
        current_login_id=me.login_id,
        zone=ZoneInfo(principal.timezone),
    )
