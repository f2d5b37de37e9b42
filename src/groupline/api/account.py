"""One's own account: logging in and out, the password, the logins."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from groupline.errors import Unauthenticated
from groupline.http.auth import (
    CurrentLogin,
    clear_login_cookie,
    client_of,
    own_site_only,
    set_login_cookie,
)
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import ApiModel, Listing, problems
from groupline.models import Login
from groupline.orgs.access import signed_in_with
from groupline.orgs.logins import (
    change_own_name,
    change_own_password,
    end_login,
    end_other_logins,
    list_logins,
    log_in,
)
from groupline.orgs.rules import Role
from groupline.orgs.schemas import SignedIn

router = APIRouter(prefix="/account", tags=["account"])


class AccountMembershipOut(ApiModel):
    id: UUID
    slug: str
    name: str
    timezone: str
    role: Role


class AccountOut(ApiModel):
    id: UUID
    email: str
    name: str
    is_instance_admin: bool
    login_id: UUID
    login_expires_at: datetime
    organizations: list[AccountMembershipOut]


class LoginIn(ApiModel):
    email: str = Field(max_length=1000, examples=["person@example.org"])
    password: Annotated[str, Field(max_length=4096, repr=False)]


class AccountPatch(ApiModel):
    name: str


class PasswordIn(ApiModel):
    current_password: Annotated[str, Field(max_length=4096, repr=False)]
    new_password: Annotated[str, Field(max_length=4096, repr=False)]


class LoginOut(ApiModel):
    id: UUID
    is_current: bool
    user_agent: str | None
    created_at: datetime
    last_seen_at: datetime = Field(description="To the minute")
    expires_at: datetime


class EndedOut(ApiModel):
    ended_logins: int


@router.post(
    "/login",
    summary="Log in",
    responses=problems(429),
    openapi_extra={"security": []},
    dependencies=[Depends(own_site_only)],
)
async def login(
    request: Request, response: Response, runtime: CurrentRuntime, body: LoginIn
) -> AccountOut:
    """Sets the login cookie. Programs use an API key instead."""
    made = await log_in(
        runtime.database,
        runtime.clock,
        email=body.email,
        password=body.password,
        client=client_of(request),
        attempts=runtime.settings.login_attempts,
        lifetime=timedelta(days=runtime.settings.login_days),
    )
    signed_in = await signed_in_with(runtime.database, made.token, now=runtime.clock.now())
    if signed_in is None:
        raise Unauthenticated("The account was closed.")
    set_login_cookie(response, runtime, made)
    return _account(signed_in)


@router.post("/logout", status_code=204, summary="Log out")
async def logout(response: Response, runtime: CurrentRuntime, me: CurrentLogin) -> None:
    async with runtime.database.writing() as session:
        await end_login(session, me, me.login_id, now=runtime.clock.now())
    clear_login_cookie(response)


@router.get("", summary="Show your account and organizations")
async def show(me: CurrentLogin) -> AccountOut:
    return _account(me)


@router.patch("", summary="Change your name")
async def change(runtime: CurrentRuntime, me: CurrentLogin, body: AccountPatch) -> AccountOut:
    async with runtime.database.writing() as session:
        name = await change_own_name(session, me, body.name, now=runtime.clock.now())
    return _account(me).model_copy(update={"name": name})


@router.post("/password", summary="Change your password", responses=problems(429))
async def change_password(
    request: Request, runtime: CurrentRuntime, me: CurrentLogin, body: PasswordIn
) -> EndedOut:
    """Ends all your other logins."""
    ended = await change_own_password(
        runtime.database,
        runtime.clock,
        me,
        current=body.current_password,
        new=body.new_password,
        client=client_of(request),
        attempts=runtime.settings.login_attempts,
    )
    return EndedOut(ended_logins=ended)


@router.get("/logins", summary="List where you are logged in")
async def logins(runtime: CurrentRuntime, me: CurrentLogin) -> Listing[LoginOut]:
    async with runtime.database.reading() as session:
        found = await list_logins(session, me, now=runtime.clock.now())
    return Listing(items=[_login(each, me) for each in found])


@router.delete("/logins", summary="End all other logins")
async def end_others(runtime: CurrentRuntime, me: CurrentLogin) -> EndedOut:
    async with runtime.database.writing() as session:
        ended = await end_other_logins(session, me, now=runtime.clock.now())
    return EndedOut(ended_logins=ended)


@router.delete("/logins/{login_id}", status_code=204, summary="End a login")
async def end(runtime: CurrentRuntime, me: CurrentLogin, login_id: UUID) -> None:
    async with runtime.database.writing() as session:
        await end_login(session, me, login_id, now=runtime.clock.now())


def _account(me: SignedIn) -> AccountOut:
    return AccountOut(
        id=me.user_id,
        email=me.email,
        name=me.name,
        is_instance_admin=me.is_instance_admin,
        login_id=me.login_id,
        login_expires_at=me.expires_at,
        organizations=[
            AccountMembershipOut(
                id=each.organization_id,
                slug=each.slug,
                name=each.name,
                timezone=each.timezone,
                role=each.role,
            )
            for each in me.memberships
        ],
    )


def _login(login: Login, me: SignedIn) -> LoginOut:
    return LoginOut(
        id=login.id,
        is_current=login.id == me.login_id,
        user_agent=login.user_agent,
        created_at=login.created_at,
        last_seen_at=login.last_seen_at,
        expires_at=login.expires_at,
    )
