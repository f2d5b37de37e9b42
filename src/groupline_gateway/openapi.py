"""The gateway's own description of itself, as OpenAPI."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from groupline_gateway.contract import API_KEY_HEADER, EXISTING_SESSION_MISSING

_ERROR = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
_EXAMPLES = {
    "400": "phone: is neither the JID of a group nor a phone number",
    "401": f"Missing or wrong {API_KEY_HEADER}",
    "403": "Only an admin of the group sees its invite link",
    "404": EXISTING_SESSION_MISSING,
    "409": "This clientRef was used before, for another text or recipient",
    "429": "WhatsApp restricts this number until 2026-03-03T12:00:00+00:00",
    "502": "WhatsApp turned the message down (error 420)",
    "503": "The session is not connected",
    "504": "WhatsApp has not confirmed this message; it may have gone out",
}
_SIMULATED_EXAMPLES = {
    "400": "number: String should match pattern '^[0-9]{6,15}$'",
    "404": "There is no simulated phone with this number",
    "409": "This session shows no QR code at the moment",
}
_NOT_OURS = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once; with the key and the errors that every call has in common."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        components = document["components"]
        components["securitySchemes"] = {
            "ApiKey": {"type": "apiKey", "in": "header", "name": API_KEY_HEADER}
        }
        for name in _NOT_OURS:
            components["schemas"].pop(name, None)
        document["security"] = [{"ApiKey": []}]
        for path, methods in document["paths"].items():
            for operation in methods.values():
                _complete(operation["responses"], simulated=path.startswith("/sim"))
        app.openapi_schema = document
    return app.openapi_schema


def _complete(responses: dict[str, Any], *, simulated: bool) -> None:
    # FastAPI documents 422 for what this gateway answers with 400.
    if responses.pop("422", None) is not None:
        responses.setdefault("400", {"description": "`error` says what is wrong", **_ERROR})
    responses["401"] = {"description": f"Missing or wrong {API_KEY_HEADER}", **_ERROR}
    examples = {**_EXAMPLES, **(_SIMULATED_EXAMPLES if simulated else {})}
    for status, response in responses.items():
        if status in examples:
            schema = response["content"]["application/json"]["schema"]
            example = {"error": examples[status]}
            response["content"] = {"application/json": {"schema": schema, "example": example}}
