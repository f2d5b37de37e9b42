"""Answers, and what faults make of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Send

from groupline_gateway.engines.faults import FaultKind, FaultRule

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"
_JSON = (b"content-type", b"application/json")


@dataclass(slots=True)
class Answer:
    """An HTTP answer that has not been given yet."""

    status: int
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def json(self) -> Any:
        """The value, or None when it is no JSON of success."""
        if self.status != 200 or not self.body:
            return None
        return json.loads(self.body)

    async def give(self, send: Send) -> None:
        headers = [(name, value) for name, value in self.headers if name != b"content-length"]
        headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_answer(value: object, status: int = 200) -> Answer:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, body, [_JSON])


def replacement(fault: FaultRule) -> Answer:
    """What is answered instead of the truth."""
    return _REPLACEMENTS[fault.kind](fault)


def distorted(answer: Answer, fault: FaultRule) -> Answer:
    """The right answer with something missing or odd."""
    value = answer.json() if fault.kind in _DISTORTING else None
    if not isinstance(value, dict):
        return answer
    return json_answer(_distort(value, fault))


_DISTORTING = frozenset(
    {
        FaultKind.QR_MISSING,
        FaultKind.STATUS_WORD,
        FaultKind.GROUPS_EMPTY,
        FaultKind.GROUPS_CUT,
    }
)


def _distort(value: dict[str, Any], fault: FaultRule) -> dict[str, Any]:
    match fault.kind:
        case FaultKind.QR_MISSING:
            hidden = ("qr", "qrExpiresAt", "pairingCode")
            return {name: part for name, part in value.items() if name not in hidden}
        case FaultKind.STATUS_WORD:
            return {**value, "status": fault.word}
        case FaultKind.GROUPS_EMPTY:
            # Claims to be complete: that is how the real ones fail.
            return {**value, "groups": []}
        case _:
            groups = value.get("groups", [])
            return {**value, "groups": groups[: int(len(groups) * fault.keep)]}


def _rate_limited(fault: FaultRule) -> Answer:
    answer = json_answer({"error": "Too many messages, slow down"}, 429)
    if fault.retry_after is not None:
        answer.headers.append((b"retry-after", str(fault.retry_after).encode()))
    return answer


def _lie(fault: FaultRule) -> Answer:
    if fault.message_id:
        return json_answer({"success": True, "messageId": "3EB0FFFFFFFFFFFFFFFFFF"})
    return json_answer({"success": True})


def _unavailable(_fault: FaultRule) -> Answer:
    return json_answer({"error": "The session is not connected"}, 503)


def _error(fault: FaultRule) -> Answer:
    return json_answer({"error": "Internal error"}, fault.http_status or 500)


def _html(fault: FaultRule) -> Answer:
    return Answer(fault.http_status or 502, _HTML, [(b"content-type", b"text/html")])


def _unauthorized(_fault: FaultRule) -> Answer:
    return json_answer({"error": "Missing or wrong X-API-Key"}, 401)


def _garbage(_fault: FaultRule) -> Answer:
    return Answer(200, b'{"success": tr', [_JSON])


def _refused(fault: FaultRule) -> Answer:
    return json_answer({"success": False, "error": fault.error_text})


def _empty(_fault: FaultRule) -> Answer:
    return json_answer({})


_REPLACEMENTS: dict[FaultKind, Callable[[FaultRule], Answer]] = {
    FaultKind.UNAVAILABLE: _unavailable,
    FaultKind.ERROR: _error,
    FaultKind.HTML: _html,
    FaultKind.RATE_LIMITED: _rate_limited,
    FaultKind.UNAUTHORIZED: _unauthorized,
    FaultKind.GARBAGE: _garbage,
    FaultKind.LIE: _lie,
    FaultKind.REFUSE: _refused,
    FaultKind.EMPTY: _empty,
}

REPLACING = frozenset(_REPLACEMENTS)
"""Kinds that put another answer in place of the right one."""
