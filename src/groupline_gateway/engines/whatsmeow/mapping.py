"""What the library tells, in the words of the contract. Pure functions over plain values.

A JID is ``{"user", "server", "device"}``; the device part never belongs to who somebody is.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from groupline_gateway.engines.whatsmeow.protocol import Frame

Jid: TypeAlias = Mapping[str, Any]

PHONES = "s.whatsapp.net"
LIDS = "lid"


def jid_text(jid: Jid | None) -> str:
    """``user@server`` without a device; empty for no JID."""
    if not jid or not jid.get("user"):
        return ""
    return f"{jid['user']}@{jid['server']}"


def parse_jid(text: str) -> tuple[str, str]:
    """User and server of ``user[:device]@server``."""
    user, _, server = text.partition("@")
    return user.partition(":")[0], server


def phone_of(*jids: Jid | None) -> str | None:
    """The digits of the first that is a phone number."""
    for jid in jids:
        if jid and jid.get("server") == PHONES and str(jid.get("user", "")).isdigit():
            return str(jid["user"])
    return None


def is_one_of(me: Iterable[str], *jids: Jid | None) -> bool:
    """``me`` are the JIDs by which an account is known: its phone's and its LID."""
    known = set(me)
    return any(text in known for text in map(jid_text, jids) if text)


def group(raw: Mapping[str, Any], me: Iterable[str]) -> Frame:
    """A group of the library's list, as a frame tells it."""
    mine = set(me)
    people = raw["participants"]
    return {
        "jid": jid_text(raw["jid"]),
        "name": raw.get("name") or "",
        "size": len(people),
        "isAdmin": any(
            one["isAdmin"] or one["isSuperAdmin"]
            for one in people
            if is_one_of(mine, one["jid"], one["lid"], one["phone"])
        ),
        "isCommunity": bool(raw.get("isParent")),
        "isCommunityAnnounce": bool(raw.get("isDefaultSub")),
        "announceOnly": bool(raw.get("isAnnounce")),
    }


def participant(raw: Mapping[str, Any]) -> Frame:
    """The phone's JID where it is known, else the LID."""
    phone = phone_of(raw["jid"], raw["phone"])
    return {
        "id": f"{phone}@{PHONES}" if phone else jid_text(raw["jid"]) or jid_text(raw["lid"]),
        "phone": phone,
        "isAdmin": bool(raw["isAdmin"] or raw["isSuperAdmin"]),
        "isSuperAdmin": bool(raw["isSuperAdmin"]),
    }


_RECEIPTS = {
    "DELIVERED": "delivered",
    "READ": "read",
    "PLAYED": "read",
    # A phone has the message and asks for its media once more: no fault of the message.
    "SERVER_ERROR": "delivered",
}


def receipt(raw: Mapping[str, Any], me: Iterable[str]) -> Frame | None:
    """None: it speaks of our own devices, or of something that is nobody's business here."""
    kind = _RECEIPTS.get(str(raw.get("type")))
    own = raw.get("isFromMe") or is_one_of(me, raw["sender"], raw["senderAlt"])
    if kind is None or own or not raw["messageIds"]:
        return None
    chat, sender = jid_text(raw["chat"]), jid_text(raw["sender"])
    reader = "" if sender == chat else phone_of(raw["sender"], raw["senderAlt"]) or sender
    return {
        "kind": kind,
        "messageIds": list(raw["messageIds"]),
        "chat": chat,
        "reader": reader or (phone_of(raw["chat"]) or ""),
        "at": raw.get("timestamp"),
    }


def joined_group(raw: Mapping[str, Any]) -> list[Frame]:
    """This account has been added to a group."""
    return [_change("joined", raw["jid"], name=raw.get("name"))]


def group_changes(raw: Mapping[str, Any], me: Iterable[str]) -> list[Frame]:
    """What a change of a group means for this account: its own membership, the name, and that
    others may write to it than before."""
    mine = set(me)
    words = (("joined", "join"), ("left", "leave"), ("promoted", "promote"), ("demoted", "demote"))
    changes = [
        _change(word, raw["jid"], at=raw.get("timestamp"))
        for word, field in words
        if any(is_one_of(mine, jid) for jid in raw.get(field, ()))
    ]
    if raw.get("deleted"):
        changes.append(_change("left", raw["jid"], at=raw.get("timestamp")))
    if raw.get("name"):
        changes.append(_change("renamed", raw["jid"], name=raw["name"], at=raw.get("timestamp")))
    if raw.get("settings"):
        changes.append(_change("settings", raw["jid"], at=raw.get("timestamp")))
    return changes


def _change(word: str, jid: Jid, *, name: str | None = None, at: float | None = None) -> Frame:
    return {"change": word, "jid": jid_text(jid), "name": name or None, "at": at}
