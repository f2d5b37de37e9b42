"""Turns templates into answers: whole pages, fragments, redirects with a toast, error pages."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from groupline.build import current_build
from groupline.errors import DatabaseFailed, DatabaseUnreachable, GrouplineError
from groupline.http.auth import safe_next
from groupline.http.context import runtime_of
from groupline.messages.variables import plain
from groupline.orgs.rules import Principal
from groupline.orgs.schemas import Membership, SignedIn
from groupline.text import beginning
from groupline.web.navigation import navigation_for

STATIC_DIR = Path(__file__).parent / "static"
FRAGMENT_HEADER = "groupline-fragment"
_TOAST_COOKIE = "groupline_toast"
_MAX_TOASTS = 5
_OWN_PAGE = frozenset((403, 404, 500))

ToastKind = Literal["success", "warning", "error"]
Toast = tuple[ToastKind, str]


@cache
def static(name: str) -> str:
    """The address of a static file; it changes with the content, so browsers may keep it."""
    digest = hashlib.sha256((STATIC_DIR / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def wants_fragment(request: Request) -> bool:
    return request.headers.get(FRAGMENT_HEADER) == "1"


class Pages:
    """Renders the dashboard's templates with what every page needs."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("groupline.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["static"] = static
        self._environment.filters["plain"] = plain
        self._environment.filters["beginning"] = beginning

    def render(
        self,
        request: Request,
        template: str,
        *,
        principal: Principal | None = None,
        nav: str | None = None,
        status: int = 200,
        toasts: Sequence[Toast] = (),
        **context: Any,
    ) -> Response:
        """A whole page. Toasts of a redirect before it are shown, and then forgotten."""
        html = self._environment.get_template(template).render(
            self._shared(request, principal),
            nav=nav,
            flash=[*_flashed(request), *toasts],
            **context,
        )
        response = HTMLResponse(html, status_code=status)
        if _TOAST_COOKIE in request.cookies:
            response.delete_cookie(_TOAST_COOKIE)
        return response

    def fragment(
        self,
        request: Request,
        template: str,
        *,
        principal: Principal,
        status: int = 200,
        toasts: Sequence[Toast] = (),
        **context: Any,
    ) -> Response:
        """A part of a page, from the same template that the page includes, with its toasts."""
        html = self._environment.get_template(template).render(
            self._shared(request, principal), nav=None, flash=[], **context
        )
        return HTMLResponse(html + self._toasts(toasts), status_code=status)

    def redirect(self, url: str, *, toast: Toast | None = None) -> Response:
        """After a form without JavaScript: see the page, with a toast on what was done."""
        response = RedirectResponse(url, status_code=303)
        if toast is not None:
            response.set_cookie(
                _TOAST_COOKIE, _pack([toast]), max_age=60, httponly=True, samesite="lax"
            )
        return response

    def problem(self, request: Request, error: GrouplineError) -> Response:
        """The page of an error, with the way on."""
        return self.render(
            request,
            _page_of(error),
            status=error.status,
            problem={"hint": None, "fields": {}} | error.problem(),
            looks_only=request.method in ("GET", "HEAD"),
            back=_way_back(request),
        )

    def _toasts(self, toasts: Sequence[Toast]) -> str:
        template = self._environment.from_string(
            '{% import "components/ui.html" as ui %}'
            "{% for words in toasts %}{{ ui.toast(*words) }}{% endfor %}"
        )
        return template.render(toasts=toasts)

    def _shared(self, request: Request, principal: Principal | None) -> dict[str, Any]:
        shared: dict[str, Any] = {
            "csp_nonce": request.state.csp_nonce,
            "build": current_build(),
            "now": runtime_of(request).clock.now(),
            "layout": "fragment.html" if wants_fragment(request) else "shell.html",
        }
        if principal is None:
            return shared
        signed_in: SignedIn = request.state.signed_in
        membership: Membership = request.state.membership
        return shared | {
            "principal": principal,
            "zone": ZoneInfo(principal.timezone),
            "sections": navigation_for(principal),
            "organization": membership,
            "organizations": [
                (
                    each.name,
                    f"/organizations/{each.slug}/enter",
                    each.organization_id == membership.organization_id,
                )
                for each in signed_in.memberships
            ],
            "user": signed_in,
            "role": membership.role,
        }


def _way_back(request: Request) -> str | None:
    """The page whose form was not done. Browsers name it to its own site only."""
    site, _, path = request.headers.get("referer", "").partition("://")[2].partition("/")
    if request.method in ("GET", "HEAD") or site != request.headers.get("host"):
        return None
    url = safe_next(f"/{path}")
    return None if url == "/" else url


def _page_of(error: GrouplineError) -> str:
    if isinstance(error, DatabaseUnreachable):
        return "errors/unreachable.html"
    if isinstance(error, DatabaseFailed) or error.status not in _OWN_PAGE:
        return "errors/problem.html"
    return f"errors/{error.status}.html"


def _pack(toasts: Sequence[Toast]) -> str:
    return urlsafe_b64encode(json.dumps(toasts).encode()).decode()


def _flashed(request: Request) -> list[Toast]:
    """The toasts that a redirect left. A cookie is input: whatever is odd about it is dropped."""
    packed = request.cookies.get(_TOAST_COOKIE)
    if not packed:
        return []
    try:
        values = json.loads(urlsafe_b64decode(packed.encode()))
        return [
            (kind, str(text)[:500])
            for kind, text in values[:_MAX_TOASTS]
            if kind in ("success", "warning", "error")
        ]
    except (ValueError, TypeError):
        return []


def pages_of(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


CurrentPages = Annotated[Pages, Depends(pages_of)]
