"""A valid request body out of an OpenAPI schema, naming given rows wherever an id is asked for."""

import re
from typing import Any


def example_of(document: dict[str, Any], schema: dict[str, Any], ids: dict[str, str]) -> Any:
    """An object has its required members, and every optional one that names a row."""
    schema = _resolved(document, schema)
    for choices in ("anyOf", "oneOf", "allOf"):
        if choices in schema:
            concrete = [each for each in schema[choices] if each.get("type") != "null"]
            return example_of(document, concrete[0], ids)
    if schema.get("type") == "object" or "properties" in schema:
        return _object(document, schema, ids)
    if schema.get("type") == "array":
        return [example_of(document, schema["items"], ids)]
    return _scalar(schema)


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
    return schema


def _object(document: dict[str, Any], schema: dict[str, Any], ids: dict[str, str]) -> Any:
    required = set(schema.get("required", ()))
    body: dict[str, Any] = {}
    for name, member in schema.get("properties", {}).items():
        row = ids.get(_snake(name))
        rows = ids.get(_snake(name).removesuffix("s")) if name.endswith("s") else None
        if row is not None and _snake(name).endswith("_id"):
            body[name] = row
        elif rows is not None and _snake(name).endswith("_ids"):
            body[name] = [rows]
        elif name in required:
            body[name] = example_of(document, member, ids)
    return body


def _scalar(schema: dict[str, Any]) -> Any:
    for given in ("const", "default"):
        if schema.get(given) is not None:
            return schema[given]
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("enum"):
        return schema["enum"][-1]
    kind = schema.get("type", "string")
    if kind == "string":
        return _string(schema)
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    raise AssertionError(f"no example for {schema}")


def _string(schema: dict[str, Any]) -> str:
    by_format = {
        "date-time": "2026-03-05T12:00:00Z",
        "date": "2026-03-05",
        "time": "12:00:00",
        "uuid": "00000000-0000-7000-8000-000000000000",
        "uri": "http://127.0.0.1:9/",
    }
    text = by_format.get(schema.get("format", ""), "some text of ours")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 1000)]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
