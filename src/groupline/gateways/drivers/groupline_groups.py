"""Groups on the wire of the Groupline contract: documents in, listings out. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace

from groupline.gateways.drivers.parsing import (
    MAX_NAME,
    JsonObject,
    as_object,
    boolean,
    count,
    first_text,
    identifier,
)
from groupline.gateways.phone import phone_or_none
from groupline.gateways.port import (
    GatewayGroup,
    GroupListing,
    Invite,
    ListingHint,
    Participant,
    ParticipantListing,
    SkippedEntry,
)

_JID_KEYS = ("id", "jid", "groupId")
_JID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}@g\.us")
_INVITE_HOST = "https://chat.whatsapp.com/"
_INVITE_CODE = re.compile(r"[A-Za-z0-9_-]{4,64}")


def is_group_jid(value: str) -> bool:
    return _JID.fullmatch(value) is not None


def group_listing(
    value: object, *, max_groups: int | None, own_phone: str | None = None
) -> GroupListing | None:
    """A bare list, or an object with `groups`. None: there is no list in it."""
    document = as_object(value)
    entries = document.get("groups") if document is not None else value
    if not isinstance(entries, list):
        return None
    merged: dict[str, GatewayGroup] = {}
    skipped: list[SkippedEntry] = []
    for entry in entries:
        group = _group(entry, own_phone)
        if isinstance(group, SkippedEntry):
            skipped.append(group)
        else:
            known = merged.get(group.jid)
            merged[group.jid] = group if known is None else _merge(known, group)
    complete = boolean(document.get("complete")) if document is not None else None
    return GroupListing(
        groups=tuple(merged.values()),
        complete=complete,
        reported=len(entries),
        skipped=tuple(skipped),
        hints=_hints(len(entries), complete, max_groups, skipped),
    )


def _hints(
    reported: int, complete: bool | None, max_groups: int | None, skipped: Sequence[SkippedEntry]
) -> tuple[ListingHint, ...]:
    facts = {
        ListingHint.EMPTY: reported == 0,
        ListingHint.AT_CAP: max_groups is not None and reported >= max_groups,
        ListingHint.DECLARED_INCOMPLETE: complete is False,
        ListingHint.ENTRIES_SKIPPED: bool(skipped),
    }
    return tuple(hint for hint, holds in facts.items() if holds)


def _merge(known: GatewayGroup, later: GatewayGroup) -> GatewayGroup:
    """Field by field; null never overwrites what another entry said."""
    said = {
        one.name: value for one in fields(later) if (value := getattr(later, one.name)) is not None
    }
    return replace(known, **said)


def _group(entry: object, own_phone: str | None) -> GatewayGroup | SkippedEntry:
    document = as_object(entry)
    if document is None:
        return SkippedEntry(jid=None, reason="not_an_object")
    jid = _first_identifier(document, _JID_KEYS)
    if jid is None:
        return SkippedEntry(jid=None, reason="no_id")
    if not is_group_jid(jid):
        return SkippedEntry(jid=jid, reason="not_a_group")
    return GatewayGroup(
        jid=jid,
        name=first_text(document, ("name", "subject"), MAX_NAME),
        participant_count=_participant_count(document),
        is_admin=_is_admin(document, own_phone),
        is_community=boolean(document.get("isCommunity")),
        is_community_announce=boolean(document.get("isCommunityAnnounce")),
        announce_only=boolean(document.get("announceOnly")),
        invite_link=invite_link(document),
    )


def _first_identifier(document: JsonObject, keys: Sequence[str]) -> str | None:
    found = (identifier(document.get(key)) for key in keys)
    return next((value for value in found if value is not None), None)


def _participant_count(document: JsonObject) -> int | None:
    participants = document.get("participants")
    for value in (participants, document.get("participantsCount"), document.get("size")):
        if (amount := count(value)) is not None:
            return amount
    # Lists are often sent empty instead of not at all: no group has no participants.
    return len(participants) if isinstance(participants, list) and participants else None


def _is_admin(document: JsonObject, own_phone: str | None) -> bool | None:
    said = boolean(document.get("isAdmin"))
    participants = document.get("participants")
    if said is not None or not isinstance(participants, list):
        return said
    for entry in participants:
        found = _participant(entry)
        if found is not None and _is_own(found, own_phone):
            return found.is_admin
    return None  # not found under this number: the list may hold LIDs only


def _is_own(participant: Participant, own_phone: str | None) -> bool:
    if participant.id == "me":
        return True
    return own_phone is not None and participant.phone == own_phone


def invite_link(document: JsonObject) -> str | None:
    code = invite_code(document)
    return None if code is None else _INVITE_HOST + code


def invite_code(document: JsonObject) -> str | None:
    """From a link or a bare code. A link to another host is no invite."""
    for key in ("inviteLink", "invite_link", "inviteCode"):
        value = identifier(document.get(key))
        if value is None:
            continue
        path = re.sub(r"^(?:https?://)?chat\.whatsapp\.com/(?:invite/)?", "", value)
        code = path.split("?", 1)[0].strip("/")
        if _INVITE_CODE.fullmatch(code):
            return code
    return None


def invite(document: JsonObject) -> Invite | None:
    code = invite_code(document)
    return None if code is None else Invite(link=_INVITE_HOST + code, code=code)


def participant_listing(value: object) -> ParticipantListing | None:
    """`{"participants": [...]}` or a bare list. None: there is no list in it."""
    document = as_object(value)
    entries = document.get("participants") if document is not None else value
    if not isinstance(entries, list):
        return None
    found: dict[str, Participant] = {}
    skipped: list[SkippedEntry] = []
    for entry in entries:
        participant = _participant(entry)
        if participant is None:
            skipped.append(SkippedEntry(jid=None, reason="no_id"))
        else:
            found.setdefault(participant.id, participant)
    total = count(document.get("totalParticipants")) if document is not None else None
    return ParticipantListing(
        participants=tuple(found.values()),
        group_name=first_text(document or {}, ("groupName",), MAX_NAME),
        total=total if total is not None else len(found),
        skipped=tuple(skipped),
    )


def _participant(entry: object) -> Participant | None:
    document = as_object(entry)
    if document is None:
        name = identifier(entry) if isinstance(entry, str) else None
        return _bare(name) if name is not None else None
    name = _first_identifier(document, ("id", "jid"))
    phone = phone_or_none(document.get("phone") or document.get("phoneNumber"))
    if name is None and phone is None:
        return None
    role = document.get("admin")
    word = role.strip().lower() if isinstance(role, str) else ""
    is_super = boolean(document.get("isSuperAdmin")) or word == "superadmin"
    is_admin = boolean(document.get("isAdmin")) or word == "admin" or boolean(role)
    return Participant(
        id=name or f"{phone}@s.whatsapp.net",
        phone=phone or phone_or_none(name),
        is_admin=bool(is_admin or is_super),
        is_super_admin=bool(is_super),
    )


def _bare(name: str) -> Participant:
    return Participant(id=name, phone=phone_or_none(name), is_admin=False, is_super_admin=False)
