"""Facts that the library only logs. Pure.

It hands on as an event only what its tables know: a ban or a refusal with another number ends the
client call without a word. The line that it logs before has the number all the same.
"""

import re

from groupline_gateway.engines.whatsmeow.protocol import Frame, Happening

_SECRET_NOT_STORED = "Failed to store message secret key"
_BAN = "Temporary ban connect failure: <failure "
_REFUSAL = "Unknown connect failure: <failure "
_ATTRIBUTE = re.compile(r'\b([a-z_]+)="([^"]*)"')
_REFUSALS = {"409": "BAD_USER_AGENT"}
"""The names that the event has for them."""


def fact_of(text: str) -> Frame | None:
    """What a logged line tells that has to be acted on."""
    if text.startswith(_SECRET_NOT_STORED):
        return {"event": Happening.UNTRACEABLE}
    if text.startswith(_BAN):
        said = _attributes(text)
        return {
            "event": Happening.BANNED,
            "code": said.get("code"),
            "seconds": _number(said.get("expire")),
        }
    if text.startswith(_REFUSAL):
        number = _attributes(text).get("reason")
        reason = None if number is None else _REFUSALS.get(number, f"reason {number}")
        return {"event": Happening.REFUSED, "reason": reason}
    return None


def _attributes(text: str) -> dict[str, str]:
    """Of the node in the line; the library writes them in any order."""
    node, _, _ = text.partition(">")
    return dict(_ATTRIBUTE.findall(node))


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0
