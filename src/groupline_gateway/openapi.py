"""The gateway's own description of itself, as OpenAPI."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from groupline_gateway.contract import API_KEY_HEADER

_ERROR = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
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
        for methods in document["paths"].values():
            for operation in methods.values():
                _complete(operation["responses"])
        app.openapi_schema = document
    return app.openapi_schema


def _complete(responses: dict[str, Any]) -> None:
    # FastAPI documents 422 for what this gateway answers with 400.
    if responses.pop("422", None) is not None:
        responses.setdefault("400", {"description": "`error` says what is wrong", **_ERROR})
    responses["401"] = {"description": f"Missing or wrong {API_KEY_HEADER}", **_ERROR}
