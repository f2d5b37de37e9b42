"""The gateway documents itself, without a network."""

import re
from typing import Any

from tests.support.gateway import RunningGateway

CONTRACT = {
    ("get", "/health"),
    ("post", "/connect"),
    ("get", "/status/{session_id}"),
    ("post", "/disconnect/{session_id}"),
    ("get", "/groups/{session_id}"),
    ("get", "/groups/{session_id}/{jid}/invite"),
    ("get", "/groups/{session_id}/{jid}/participants"),
    ("post", "/send"),
    ("post", "/message-status"),
}


def _operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def test_every_call_is_documented(gateway: RunningGateway) -> None:
    operations = _operations(await gateway.get("/openapi.json"))
    assert set(operations) >= CONTRACT
    for call, operation in operations.items():
        assert operation["summary"], call
        assert operation["tags"], call
        assert "401" in operation["responses"], call
        assert "422" not in operation["responses"], call
        for status, answer in operation["responses"].items():
            example = answer.get("content", {}).get("application/json", {}).get("example", {})
            assert ("error" in example) == (status >= "400"), call
        answers = [status for status in operation["responses"] if status.startswith("2")]
        assert answers, call


async def test_bodies_are_documented_where_routes_read_them_themselves(
    gateway: RunningGateway,
) -> None:
    operations = _operations(await gateway.get("/openapi.json"))
    body = operations["post", "/send"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"sessionId", "phone", "message", "clientRef"} <= set(body["properties"])
    assert body["required"] == ["sessionId", "phone"]


async def test_the_key_is_declared(gateway: RunningGateway) -> None:
    document = await gateway.get("/openapi.json")
    [scheme] = document["components"]["securitySchemes"].values()
    assert (scheme["in"], scheme["name"]) == ("header", "X-API-Key")
    assert document["security"]


async def test_references_point_somewhere(gateway: RunningGateway) -> None:
    async with gateway.http.get(gateway.url + "/openapi.json") as answer:
        text = await answer.text()
        document = await answer.json()
    for name in set(re.findall(r"#/components/schemas/([^\"]+)", text)):
        assert name in document["components"]["schemas"]


async def test_the_page_loads_nothing_from_elsewhere(gateway: RunningGateway) -> None:
    async with gateway.http.get(gateway.url + "/docs") as answer:
        assert answer.content_type == "text/html"
        page = await answer.text()
    assert "openapi.json" in page
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert "<title>" in page
