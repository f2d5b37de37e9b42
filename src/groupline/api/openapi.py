"""What the OpenAPI document says beyond the routes: how to sign in, and how errors look."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from groupline.http.problem import PROBLEM_JSON

_DESCRIPTION = """Groupline sends WhatsApp messages to groups, on time, around workshops and
webinars.

Authenticate with `Authorization: Bearer glk_…`: an API key belongs to one organization and has
scopes (`read`, `write`, `send`, `admin`). Times are ISO 8601 with an offset. Lists answer
`{"items": […], "nextCursor": …}`. Errors are `application/problem+json` with a stable `code`.
POSTs that create or send take an `Idempotency-Key`.
"""

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "One per cause; stable"},
        "detail": {"type": "string", "description": "A sentence for the person"},
        "hint": {"type": "string", "description": "What to do next"},
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        "upstream": {"type": "string", "enum": ["gateway", "db"]},
        "upstreamStatus": {"type": "integer"},
    },
    "example": {
        "type": "urn:groupline:problem:not_found",
        "title": "Not found",
        "status": 404,
        "code": "not_found",
        "detail": "There is no such number.",
    },
}
_ERRORS = {
    "401": "No key or login, or one that is not valid",
    "403": "The key or the role does not allow this",
    "404": "Unknown, or somebody else's",
    "422": "Bad input: the fields are named, nothing was written",
    "503": "The database cannot be reached: come again after `Retry-After` seconds",
}


def describe(app: FastAPI) -> None:
    """Replaces the generated document by one that also describes errors and sign-in."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=_DESCRIPTION,
                    routes=app.routes,
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["securitySchemes"] = {
        "apiKey": {"type": "http", "scheme": "bearer", "description": "glk_…"},
        "login": {"type": "apiKey", "in": "cookie", "name": "groupline_login"},
    }
    document["security"] = [{"apiKey": []}, {"login": []}]
    for operations in document["paths"].values():
        for operation in operations.values():
            _add_errors(operation)
    return document


def _add_errors(operation: dict[str, Any]) -> None:
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    responses = operation["responses"]
    for status, description in _ERRORS.items():
        responses[status] = {"description": description, "content": {PROBLEM_JSON: schema}}
