"""The API's reference as a page: rendered here from the OpenAPI document, so it works offline."""

import json
import re
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from groupline.web.rendering import CurrentPages

router = APIRouter()

_CODE = re.compile(r"``?([^`\n]+)``?")
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    body: str | None
    answers: list[tuple[str, str, str | None]]
    """Status, meaning, and the shape of the answer."""


@router.get("/api/v1/docs")
async def api_docs(request: Request, pages: CurrentPages) -> Response:
    document = request.app.openapi()
    return pages.render(
        request,
        "api_docs.html",
        info=document["info"],
        topics=_by_topic(document),
        document_url=request.app.openapi_url,
        prose=prose,
    )


def prose(text: str) -> Markup:
    """What stands in one or two backticks, as code; everything else as it is written."""
    parts = _CODE.split(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if is_code else part
        for part, is_code in zip(parts, cycle((False, True)))
    )


def _by_topic(document: dict[str, Any]) -> dict[str, list[Operation]]:
    topics: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                topic = operation.get("tags", ["other"])[0]
                topics.setdefault(topic, []).append(_operation(document, path, method, operation))
    return dict(sorted(topics.items()))


def _operation(
    document: dict[str, Any], path: str, method: str, operation: dict[str, Any]
) -> Operation:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return Operation(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=operation.get("parameters", []),
        body=_shape(document, body.get("schema")),
        answers=[
            (status, answer["description"], _answer_shape(document, answer))
            for status, answer in sorted(operation["responses"].items())
        ],
    )


def _answer_shape(document: dict[str, Any], answer: dict[str, Any]) -> str | None:
    return _shape(document, answer.get("content", {}).get("application/json", {}).get("schema"))


def _shape(document: dict[str, Any], schema: dict[str, Any] | None) -> str | None:
    """An outline of a schema: an object with the type, or the example, of every field."""
    if not schema:
        return None
    return json.dumps(_outline(document, schema, depth=0), indent=2, ensure_ascii=False)


def _outline(document: dict[str, Any], schema: dict[str, Any], *, depth: int) -> Any:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _outline(document, document["components"]["schemas"][name], depth=depth)
    if depth > 5:
        return "…"
    if "properties" in schema:
        return {
            name: _outline(document, field, depth=depth + 1)
            for name, field in schema["properties"].items()
        }
    if schema.get("type") == "array":
        return [_outline(document, schema.get("items", {}), depth=depth + 1)]
    return _leaf(document, schema, depth)


def _leaf(document: dict[str, Any], schema: dict[str, Any], depth: int) -> Any:
    if schema.get("examples"):
        return schema["examples"][0]
    variants = schema.get("anyOf") or schema.get("oneOf")
    if variants:
        outlines = [_outline(document, variant, depth=depth) for variant in variants]
        others = [outline for outline in outlines if outline != "null"]
        if len(others) == 1 and not isinstance(others[0], str):
            return others[0]
        return " | ".join(map(str, outlines))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    return schema.get("format") or schema.get("type", "any")
