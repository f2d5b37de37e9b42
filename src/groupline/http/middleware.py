"""Around every request: its id, the build, security headers, a size limit and one log line."""

import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groupline.build import current_build
from groupline.db.ledger import keeping_ledger
from groupline.db.punctual import PROMPT_SECONDS, patience
from groupline.errors import PayloadTooLarge
from groupline.http.context import path_for_logs
from groupline.http.problem import problem_response

logger = structlog.get_logger()

MAX_BODY_BYTES = 4 * 1024 * 1024


def content_security_policy(nonce: str) -> str:
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' 'nonce-{nonce}'",
            "style-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "object-src 'none'",
        )
    )


class EdgeMiddleware:
    """Pure ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        nonce = scope.setdefault("state", {})["csp_nonce"] = secrets.token_urlsafe(16)
        request_id = secrets.token_hex(8)
        answered = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id, nonce)
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            patience(PROMPT_SECONDS),
            keeping_ledger() as ledger,
        ):
            scope["state"]["ledger"] = ledger
            await self._limited(scope, receive, send_with_headers)
            logger.debug(
                "request.answered",
                method=scope["method"],
                path=path_for_logs(scope["path"]),
                status=answered,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
            )

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            error = PayloadTooLarge(f"Groupline takes requests of up to {MAX_BODY_BYTES} bytes.")
            await problem_response(error)(scope, receive, send)
            return
        await self.app(scope, _counted(receive), send)


def _counted(receive: Receive) -> Receive:
    """Counts a body that names no length (chunked) as it arrives."""
    seen = 0

    async def receive_counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MAX_BODY_BYTES:
                raise PayloadTooLarge(f"Groupline takes requests of up to {MAX_BODY_BYTES} bytes.")
        return message

    return receive_counted


def _add_headers(headers: MutableHeaders, request_id: str, nonce: str) -> None:
    headers["Groupline-Build"] = current_build()
    headers["Request-Id"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers.setdefault("Content-Security-Policy", content_security_policy(nonce))
    headers.setdefault("Cache-Control", "no-store")
