"""Who asks: an API key, or a person with a login cookie. Every route depends on one of these.

``allowed`` is for the API, ``page_allowed`` for pages. Both leave the principal, and for a person
also who is signed in, on ``request.state`` for whoever renders the answer.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Request
from starlette.responses import RedirectResponse, Response

from groupline.errors import Forbidden, NotFound, Unauthenticated
from groupline.http.context import CurrentRuntime
from groupline.http.origin import refuse_other_sites
from groupline.orgs.access import principal_of_key, signed_in_with
from groupline.orgs.logins import Client
from groupline.orgs.rules import Permission, Principal
from groupline.orgs.schemas import Membership, NewLogin, SignedIn
from groupline.runtime import Runtime

LOGIN_COOKIE = "groupline_login"
ORGANIZATION_COOKIE = "groupline_organization"
ORGANIZATION_HEADER = "Groupline-Organization"
_TOKEN_MAX = 200

OrganizationHeader = Annotated[
    str | None,
    Header(
        alias=ORGANIZATION_HEADER,
        max_length=100,
        description="With a login cookie: the id or short name of the organization",
    ),
]


class LoginNeeded(Unauthenticated):
    """A page that needs a login: the answer is the way to it."""

    def __init__(self, next_url: str) -> None:
        super().__init__("Please sign in.")
        self.next_url = next_url


@cache
def allowed(permission: Permission) -> Callable[..., Awaitable[Principal]]:
    """For API routes: ``Annotated[Principal, Depends(allowed(Permission.READ))]``."""

    async def principal(
        request: Request, runtime: CurrentRuntime, organization: OrganizationHeader = None
    ) -> Principal:
        token = _bearer(request)
        if token is not None:
            found = await _with_key(runtime, token)
        else:
            signed_in = await signed_in_for(request, runtime)
            membership = _membership(request, signed_in, organization)
            found = signed_in.principal(membership)
        request.state.principal = found
        found.require(permission)
        return found

    return principal


async def signed_in_for(request: Request, runtime: CurrentRuntime) -> SignedIn:
    """The person behind the login cookie, whatever their organization."""
    found = await _with_cookie(request, runtime)
    if found is None:
        raise Unauthenticated("Send an API key or sign in.")
    refuse_other_sites(request, runtime.settings.effective_base_url, needs_proof=True)
    request.state.signed_in = found
    return found


async def page_signed_in(request: Request, runtime: CurrentRuntime) -> SignedIn:
    """The same for pages: without a login, the way to it."""
    found = await _with_cookie(request, runtime)
    if found is None:
        raise LoginNeeded(_here(request))
    refuse_other_sites(request, runtime.settings.effective_base_url, needs_proof=True)
    request.state.signed_in = found
    return found


async def signed_in_or_none(request: Request, runtime: CurrentRuntime) -> SignedIn | None:
    """For pages that look different to those who are signed in; they change nothing."""
    return await _with_cookie(request, runtime)


async def own_site_only(request: Request, runtime: CurrentRuntime) -> None:
    """For what needs no login yet: logging in, and the one-time links."""
    refuse_other_sites(request, runtime.settings.effective_base_url, needs_proof=False)


CurrentLogin = Annotated[SignedIn, Depends(signed_in_for)]
CurrentPageLogin = Annotated[SignedIn, Depends(page_signed_in)]


@cache
def page_allowed(permission: Permission) -> Callable[..., Awaitable[Principal]]:
    """For pages: without a login the answer is the login page, which leads back here."""

    async def principal(request: Request, signed_in: CurrentPageLogin) -> Principal:
        found = signed_in.principal(_membership(request, signed_in, None))
        request.state.principal = found
        found.require(permission)
        return found

    return principal


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else None


async def _with_key(runtime: Runtime, token: str) -> Principal:
    found = None
    if len(token) <= _TOKEN_MAX:
        found = await principal_of_key(runtime.database, token, now=runtime.clock.now())
    if found is None:
        raise Unauthenticated("This API key is not valid, or was revoked.")
    return found


async def _with_cookie(request: Request, runtime: Runtime) -> SignedIn | None:
    token = request.cookies.get(LOGIN_COOKIE, "")
    if not token or len(token) > _TOKEN_MAX:
        return None
    return await signed_in_with(runtime.database, token, now=runtime.clock.now())


def _membership(request: Request, signed_in: SignedIn, wanted: str | None) -> Membership:
    """The organization that is asked for, or the one last used, or the first."""
    if wanted is not None:
        membership = _find(signed_in, wanted)
        if membership is None:
            raise NotFound("There is no organization like this.")
    elif signed_in.memberships:
        last_used = _find(signed_in, request.cookies.get(ORGANIZATION_COOKIE, ""))
        membership = last_used or signed_in.memberships[0]
    else:
        raise Forbidden(
            "You are a member of no organization.", hint="Ask an owner or an admin to add you."
        )
    request.state.membership = membership
    return membership


def _find(signed_in: SignedIn, wanted: str) -> Membership | None:
    try:
        organization_id = UUID(wanted)
    except ValueError:
        organization_id = None
    for membership in signed_in.memberships:
        if wanted == membership.slug or organization_id == membership.organization_id:
            return membership
    return None


# The login page and back


def install_login_redirect(app: FastAPI) -> None:
    """A page without a login leads to the login page; a part of a page is refused instead."""

    async def redirect(_request: Request, error: Exception) -> Response:
        assert isinstance(error, LoginNeeded)
        return RedirectResponse(f"/login?next={quote(error.next_url, safe='/')}", status_code=303)

    app.add_exception_handler(LoginNeeded, redirect)


def _here(request: Request) -> str:
    if request.method != "GET":
        return "/"
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def safe_next(url: str | None) -> str:
    """Where to go after the login: an address of ours, whatever the link said."""
    is_ours = (
        url is not None
        and url.startswith("/")
        and not url.startswith(("//", "/\\", "/login", "/logout"))
        and url.isprintable()
        and "\\" not in url
    )
    return url if is_ours and url is not None else "/"


# Cookies


def set_login_cookie(response: Response, runtime: Runtime, login: NewLogin) -> None:
    response.set_cookie(
        LOGIN_COOKIE,
        login.token,
        max_age=runtime.settings.login_days * 86_400,
        httponly=True,
        samesite="lax",
        secure=_is_secure(runtime),
    )


def clear_login_cookie(response: Response) -> None:
    response.delete_cookie(LOGIN_COOKIE)


def set_organization_cookie(response: Response, runtime: Runtime, membership: Membership) -> None:
    response.set_cookie(
        ORGANIZATION_COOKIE,
        str(membership.organization_id),
        max_age=365 * 86_400,
        httponly=True,
        samesite="lax",
        secure=_is_secure(runtime),
    )


def _is_secure(runtime: Runtime) -> bool:
    return runtime.settings.effective_base_url.startswith("https:")


def client_of(request: Request) -> Client:
    """For the rate limit and the list of logins."""
    address = request.client.host if request.client is not None else "unknown"
    return Client(address, request.headers.get("user-agent"))
