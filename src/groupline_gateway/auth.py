"""The API key, checked before anything else looks at a request."""

import hmac

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from groupline_gateway.contract import API_KEY_HEADER

_OPEN = frozenset({"/docs", "/openapi.json"})
_HEADER = API_KEY_HEADER.lower().encode()


def presented_key(scope: Scope) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == _HEADER), None)


class RequireApiKey:
    """Lets the documentation, and a liveness question without a key, through unauthenticated."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._key = api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._may_pass(scope):
            await self._app(scope, receive, send)
            return
        refusal = JSONResponse({"error": f"Missing or wrong {API_KEY_HEADER}"}, status_code=401)
        await refusal(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in _OPEN:
            return True
        key = presented_key(scope)
        if key is None:
            return bool(path == "/health")
        return hmac.compare_digest(key, self._key)
