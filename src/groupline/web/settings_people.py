"""Settings of the organization: its name and zone, its members, its API keys."""

from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from groupline.errors import InvalidInput
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import decode_cursor, encode_cursor, uuid_cursor
from groupline.orgs.api_keys import create_api_key, list_api_keys, revoke_api_key
from groupline.orgs.rules import Permission, Principal, Role, Scope, may_grant, timezone_names
from groupline.orgs.schemas import NewApiKey
from groupline.orgs.service import (
    add_member,
    change_organization,
    change_role,
    list_members,
    organization_of,
    remove_member,
    renew_member_link,
)
from groupline.runtime import Runtime
from groupline.web.rendering import CurrentPages, Pages

router = APIRouter(prefix="/settings")

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Manager = Annotated[Principal, Depends(page_allowed(Permission.MEMBERS))]
Owner = Annotated[Principal, Depends(page_allowed(Permission.ORGANIZATION))]
Cursor = Annotated[str | None, Query(max_length=500)]
_ON_A_PAGE = 100

ROLES = (
    (Role.VIEWER, "Viewer", "Sees everything, changes nothing."),
    (Role.OPERATOR, "Operator", "Runs events, campaigns and messages."),
    (Role.ADMIN, "Admin", "Also manages WhatsApp numbers, members and API keys."),
    (Role.OWNER, "Owner", "Also manages the organization."),
)
SCOPES = (
    (Scope.READ, "Read", "See everything in the organization."),
    (Scope.WRITE, "Write", "Change events and templates, connect numbers, sync groups."),
    (Scope.SEND, "Send", "Send messages to groups."),
    (Scope.ADMIN, "Admin", "Everything, also members and the organization."),
)


# The organization


@router.get("/organization")
async def organization(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Reader
) -> Response:
    async with runtime.database.reading() as session:
        found = await organization_of(session, principal)
    values = {"name": found.name, "slug": found.slug, "timezone": found.timezone}
    return _organization_page(request, pages, principal, values)


@router.post("/organization")
async def save_organization(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Owner,
    name: Annotated[str, Form()],
    slug: Annotated[str, Form()],
    timezone: Annotated[str, Form()],
) -> Response:
    values = {"name": name, "slug": slug, "timezone": timezone}
    try:
        async with runtime.database.writing() as session:
            await change_organization(session, principal, **values, now=runtime.clock.now())
    except InvalidInput as error:
        return _organization_page(request, pages, principal, values, errors=error.fields)
    return pages.redirect(
        "/settings/organization", toast=("success", "The organization was saved.")
    )


def _organization_page(
    request: Request,
    pages: Pages,
    principal: Principal,
    values: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
) -> Response:
    return pages.render(
        request,
        "settings_organization.html",
        principal=principal,
        nav="organization",
        status=422 if errors else 200,
        values=values,
        errors=errors or {},
        timezones=[(name, name) for name in timezone_names(values["timezone"])],
        may_change=principal.may(Permission.ORGANIZATION),
    )


# Members


@router.get("/members")
async def members(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Manager,
    cursor: Cursor = None,
) -> Response:
    return await _members_page(request, runtime, pages, principal, cursor=cursor)


@router.post("/members")
async def add(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Manager,
    email: Annotated[str, Form(max_length=1000)],
    role: Annotated[Role, Form()],
    name: Annotated[str, Form()] = "",
) -> Response:
    try:
        async with runtime.database.writing() as session:
            added = await add_member(
                session, principal, email=email, role=role, name=name, now=runtime.clock.now()
            )
    except InvalidInput as error:
        values = {"email": email, "role": role, "name": name}
        return await _members_page(
            request, runtime, pages, principal, values=values, errors=error.fields
        )
    if added.link_token is None:
        return pages.redirect(
            "/settings/members", toast=("success", f"{added.member.email} is a member now.")
        )
    link = (added.member.email, _setup_url(runtime, added.link_token))
    return await _members_page(request, runtime, pages, principal, link=link)


@router.post("/members/{user_id}/role")
async def save_role(
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Manager,
    user_id: UUID,
    role: Annotated[Role, Form()],
) -> Response:
    async with runtime.database.writing() as session:
        member = await change_role(session, principal, user_id, role, now=runtime.clock.now())
    return pages.redirect(
        "/settings/members", toast=("success", f"{member.name} is {member.role} now.")
    )


@router.post("/members/{user_id}/remove")
async def remove(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Manager, user_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        member = await remove_member(session, principal, user_id, now=runtime.clock.now())
    is_self = user_id == principal.user_id
    return pages.redirect(
        "/" if is_self else "/settings/members",
        toast=("success", f"{member.name} is no longer a member."),
    )


@router.post("/members/{user_id}/link")
async def renew_link(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Manager,
    user_id: UUID,
    email: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    async with runtime.database.writing() as session:
        token = await renew_member_link(session, principal, user_id, now=runtime.clock.now())
    link = (email, _setup_url(runtime, token))
    return await _members_page(request, runtime, pages, principal, link=link)


def _setup_url(runtime: Runtime, token: str) -> str:
    return f"{runtime.settings.effective_base_url}/setup/{token}"


async def _members_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    *,
    cursor: str | None = None,
    values: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
    link: tuple[str, str] | None = None,
) -> Response:
    after = str(decode_cursor(cursor, keys=1)[0]) if cursor else None
    async with runtime.database.reading() as session:
        found = await list_members(session, principal, after=after, limit=_ON_A_PAGE + 1)
    shown = found[:_ON_A_PAGE]
    may_own = principal.role is Role.OWNER
    return pages.render(
        request,
        "settings_members.html",
        principal=principal,
        nav="members",
        status=422 if errors else 200,
        members=shown,
        next_cursor=encode_cursor(shown[-1].email) if len(found) > _ON_A_PAGE else None,
        roles=[each for each in ROLES if may_own or each[0] is not Role.OWNER],
        may_own=may_own,
        values=values or {"email": "", "name": "", "role": Role.OPERATOR},
        errors=errors or {},
        link=link,
    )


# API keys


@router.get("/api-keys")
async def api_keys(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Manager,
    cursor: Cursor = None,
) -> Response:
    return await _api_keys_page(request, runtime, pages, principal, cursor=cursor)


@router.post("/api-keys")
async def create_key(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Manager,
    name: Annotated[str, Form()],
    scopes: Annotated[list[Scope] | None, Form()] = None,
) -> Response:
    try:
        async with runtime.database.writing() as session:
            made = await create_api_key(
                session, principal, name=name, scopes=scopes or (), now=runtime.clock.now()
            )
    except InvalidInput as error:
        values = {"name": name, "scopes": scopes or []}
        return await _api_keys_page(
            request, runtime, pages, principal, values=values, errors=error.fields
        )
    return await _api_keys_page(request, runtime, pages, principal, made=made)


@router.post("/api-keys/{api_key_id}/revoke")
async def revoke_key(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Manager, api_key_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        key = await revoke_api_key(session, principal, api_key_id, now=runtime.clock.now())
    return pages.redirect(
        "/settings/api-keys", toast=("success", f"The key “{key.name}” no longer works.")
    )


async def _api_keys_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    *,
    cursor: str | None = None,
    values: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
    made: NewApiKey | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        found = await list_api_keys(
            session, principal, before=uuid_cursor(cursor), limit=_ON_A_PAGE + 1
        )
    shown = found[:_ON_A_PAGE]
    return pages.render(
        request,
        "settings_api_keys.html",
        principal=principal,
        nav="api-keys",
        status=422 if errors else 200,
        keys=shown,
        next_cursor=encode_cursor(str(shown[-1].id)) if len(found) > _ON_A_PAGE else None,
        scopes=[each for each in SCOPES if may_grant(principal, each[0])],
        values=values or {"name": "", "scopes": [Scope.READ]},
        errors=errors or {},
        made=made,
        zone=ZoneInfo(principal.timezone),
    )
