"""Reading the requests of the hot calls: explicit checks on plain dicts, clear errors.

``/send`` and ``/message-status`` carry thousands of requests a second; the Pydantic models of
the contract document them, these functions check them.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from groupline_gateway.contract import MAX_CLIENT_REF_LENGTH, MAX_MESSAGE_LENGTH, MEDIA_TYPES
from groupline_gateway.engines.port import Order
from groupline_gateway.errors import BadRequest

_GROUP_JID = re.compile(r"[0-9]+(-[0-9]+)?@g\.us\Z")
_NUMBER = re.compile(r"\+?([0-9]{6,15})(:[0-9]+)?(@s\.whatsapp\.net)?\Z")
MAX_BODY = 1_048_576


@dataclass(frozen=True, slots=True)
class StatusQuestion:
    session_id: str
    client_ref: str | None
    recipient: str | None


async def json_object(request: Request) -> dict[str, Any]:
    body = await request.body()
    if len(body) > MAX_BODY:
        raise BadRequest("The body is larger than 1 MB")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise BadRequest("The body is not valid JSON") from error
    if not isinstance(value, dict):
        raise BadRequest("The body has to be a JSON object")
    return value


def read_order(body: dict[str, Any]) -> Order:
    text = _text(body, "message", required=False, longest=MAX_MESSAGE_LENGTH) or ""
    media_url = _text(body, "mediaUrl", required=False)
    media_type = _text(body, "mediaType", required=False)
    if not text.strip() and media_url is None:
        raise BadRequest("message: is empty, and there is no mediaUrl")
    if media_url is not None and not media_url.startswith(("http://", "https://")):
        raise BadRequest("mediaUrl: must start with http:// or https://")
    if media_url is not None and media_type is None:
        raise BadRequest("mediaType: is needed with mediaUrl")
    if media_type is not None and media_type not in MEDIA_TYPES:
        raise BadRequest(f"mediaType: must be one of {', '.join(MEDIA_TYPES)}")
    return Order(
        session_id=_required(body, "sessionId"),
        recipient=recipient_jid(_required(body, "phone")),
        text=text,
        media_url=media_url,
        media_type=media_type,
        client_ref=_text(body, "clientRef", required=False, longest=MAX_CLIENT_REF_LENGTH),
    )


def read_status_question(body: dict[str, Any]) -> StatusQuestion:
    client_ref = _text(body, "clientRef", required=False, longest=MAX_CLIENT_REF_LENGTH)
    recipient = _text(body, "groupJid", required=False)
    if client_ref is None and recipient is None:
        raise BadRequest("clientRef or groupJid is needed")
    return StatusQuestion(
        session_id=_required(body, "sessionId"),
        client_ref=client_ref,
        recipient=None if recipient is None else recipient_jid(recipient),
    )


def recipient_jid(recipient: str) -> str:
    """The JID of a group or of a person, whichever way it was written."""
    recipient = recipient.strip()
    if _GROUP_JID.match(recipient):
        return recipient
    number = _NUMBER.match(recipient)
    if number is None:
        raise BadRequest("phone: is neither the JID of a group nor a phone number")
    return f"{number.group(1)}@s.whatsapp.net"


def _required(body: dict[str, Any], name: str) -> str:
    return str(_text(body, name, required=True))


def _text(body: dict[str, Any], name: str, *, required: bool, longest: int = 2048) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        if required:
            raise BadRequest(f"{name}: is missing")
        return None
    if not isinstance(value, str):
        raise BadRequest(f"{name}: must be a text")
    if len(value) > longest:
        raise BadRequest(f"{name}: is longer than {longest} characters")
    return value
