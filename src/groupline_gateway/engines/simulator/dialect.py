"""The contract's variants: the same facts in the words of other gateways of its kind."""

import json
from typing import Any

from groupline_gateway.engines.faults import Route
from groupline_gateway.engines.simulator.answers import Answer, json_answer
from groupline_gateway.engines.simulator.schemas import Dialect
from groupline_gateway.engines.simulator.world import made_up_participants

_OWN_STATUS_PARTS = ("sessionId", "qrExpiresAt", "pairingCode", "reason", "since", "restriction")
_OWN_REQUEST_PARTS = ("clientRef", "phone", "pairingCode")


def understand(route: Route, body: bytes, dialect: Dialect) -> bytes:
    """A request as a gateway without our own parts would read it."""
    if dialect.own_parts or route not in (Route.SEND, Route.MESSAGE_STATUS, Route.CONNECT):
        return body
    try:
        value: Any = json.loads(body)
    except ValueError:
        return body
    if not isinstance(value, dict):
        return body
    hidden = _OWN_REQUEST_PARTS if route is Route.CONNECT else ("clientRef",)
    return json.dumps({name: part for name, part in value.items() if name not in hidden}).encode()


def rephrase(route: Route, answer: Answer, dialect: Dialect, phone: str | None) -> Answer:
    """``phone`` is the session's own number, which participant lists name."""
    if route is Route.STATUS and answer.status == 404 and dialect.unknown_session != "404":
        return json_answer({"status": "disconnected"})
    value = answer.json()
    if not isinstance(value, dict):
        return answer
    rephrased: Any = value
    match route:
        case Route.HEALTH if not dialect.own_parts:
            rephrased = {"status": "ok"}
        case Route.STATUS:
            rephrased = _status(value, dialect)
        case Route.GROUPS:
            rephrased = _groups(value, dialect, phone)
        case Route.SEND:
            rephrased = _sent(value, dialect)
        case _:
            return answer
    return json_answer(rephrased)


def _status(value: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    fields = dict(value)
    if not dialect.own_parts:
        fields = {name: part for name, part in fields.items() if name not in _OWN_STATUS_PARTS}
    if fields["status"] == "qr_pending":
        fields["status"] = dialect.pending_word
    qr = fields.pop("qr", None)
    if qr is not None:
        fields[dialect.qr_field] = _data_url(qr) if dialect.qr_format == "data_url" else qr
    if "phoneNumber" in fields:
        fields["phoneNumber"] = _phone(fields["phoneNumber"], dialect)
    return fields


def _phone(number: str, dialect: Dialect) -> str:
    match dialect.phone_format:
        case "plus":
            return number
        case "digits":
            return number.lstrip("+")
        case "jid":
            return f"{number.lstrip('+')}:12@s.whatsapp.net"


def _data_url(text: str) -> str:
    # 3 MB that only a gateway which pretends to be another one needs.
    import segno  # noqa: PLC0415

    return segno.make(text, micro=False).png_data_uri(scale=4)


def _groups(value: dict[str, Any], dialect: Dialect, phone: str | None) -> Any:
    groups = [_group(group, dialect, phone) for group in value["groups"]]
    if dialect.groups_shape == "list":
        return groups
    if not dialect.own_parts:
        return {"groups": groups}
    return {**value, "groups": groups}


def _group(group: dict[str, Any], dialect: Dialect, phone: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        dialect.group_id: group["id"],
        dialect.group_name: group["name"],
        "isCommunity": group["isCommunity"],
        "isCommunityAnnounce": group["isCommunityAnnounce"],
    }
    if dialect.own_parts:
        fields["announceOnly"] = group["announceOnly"]
    _add_size_and_admin(fields, group, dialect, phone)
    _add_invite(fields, group.get("inviteLink"), dialect)
    return fields


def _add_size_and_admin(
    fields: dict[str, Any], group: dict[str, Any], dialect: Dialect, phone: str | None
) -> None:
    size, is_admin = group["participants"], group["isAdmin"]
    match dialect.group_admin:
        case "bool":
            fields["isAdmin"] = is_admin
        case "text":
            fields["isAdmin"] = "true" if is_admin else "false"
        case "number":
            fields["isAdmin"] = int(is_admin)
        case "participants":
            pass
    if dialect.group_size == "list" or dialect.group_admin == "participants":
        fields["participants"] = _participants(group["id"], size, is_admin, phone)
    else:
        fields[dialect.group_size] = size


def _participants(jid: str, size: int, is_admin: bool, phone: str | None) -> list[dict[str, Any]]:
    """The session's own number, then the others."""
    me: dict[str, Any] = {"id": f"{phone}@s.whatsapp.net", "admin": "admin" if is_admin else None}
    others = made_up_participants(jid, max(size - 1, 0))
    return [
        me,
        *({"id": one.id, "admin": "superadmin" if one.is_super_admin else None} for one in others),
    ]


def _add_invite(fields: dict[str, Any], link: str | None, dialect: Dialect) -> None:
    if link is None or dialect.group_invite == "absent":
        return
    is_code = dialect.group_invite == "inviteCode"
    fields[dialect.group_invite] = link.rsplit("/", 1)[-1] if is_code else link


def _sent(value: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    fields = dict(value)
    if not dialect.own_parts:
        fields.pop("existing", None)
    if dialect.sent == "key" and "messageId" in fields:
        return {"key": {"id": fields["messageId"]}}
    return fields
