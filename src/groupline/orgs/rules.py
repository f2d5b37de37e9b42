"""Who may do what, and which changes to people are allowed. Pure decisions, no I/O."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import assert_never
from uuid import UUID
from zoneinfo import available_timezones

from groupline.errors import Conflict, Forbidden, InvalidInput
from groupline.journal import Actor


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"
    SEND = "send"
    ADMIN = "admin"


class Permission(StrEnum):
    READ = "read"
    OPERATE = "operate"
    """Events, campaigns, templates, the sync of groups."""
    SEND = "send"
    """Messages."""
    CONNECT = "connect"
    """Numbers, sessions, QR codes, proxies."""
    MEMBERS = "members"
    """Members and API keys."""
    ORGANIZATION = "organization"
    """The organization itself."""
    INSTALLATION = "installation"
    """What all organizations share: gateways."""


_VIEW = frozenset({Permission.READ})
_RUN = _VIEW | {Permission.OPERATE, Permission.SEND}
_ADMINISTER = _RUN | {Permission.CONNECT, Permission.MEMBERS}
_OWN = _ADMINISTER | {Permission.ORGANIZATION}


def role_permissions(role: Role) -> frozenset[Permission]:
    match role:
        case Role.VIEWER:
            return _VIEW
        case Role.OPERATOR:
            return _RUN
        case Role.ADMIN:
            return _ADMINISTER
        case Role.OWNER:
            return _OWN
        case _:
            assert_never(role)


def scope_permissions(scope: Scope) -> frozenset[Permission]:
    match scope:
        case Scope.READ:
            return _VIEW
        case Scope.WRITE:
            return _VIEW | {Permission.OPERATE}
        case Scope.SEND:
            return _VIEW | {Permission.SEND}
        case Scope.ADMIN:
            return _OWN
        case _:
            assert_never(scope)


_TO_DO = {
    Permission.READ: "see this organization",
    Permission.OPERATE: "change events, campaigns or templates",
    Permission.SEND: "send messages",
    Permission.CONNECT: "manage WhatsApp numbers",
    Permission.MEMBERS: "manage members and API keys",
    Permission.ORGANIZATION: "change the organization",
    Permission.INSTALLATION: "manage this installation",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, in which organization: a member through a login, or an API key."""

    organization_id: UUID
    actor: Actor
    role: Role | None
    scopes: frozenset[Scope] | None
    user_id: UUID | None
    api_key_id: UUID | None
    is_instance_admin: bool
    timezone: str

    @property
    def permissions(self) -> frozenset[Permission]:
        if self.scopes is not None:
            return frozenset().union(*map(scope_permissions, self.scopes))
        held = role_permissions(self.role) if self.role is not None else frozenset()
        return held | {Permission.INSTALLATION} if self.is_instance_admin else held

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raises ``Forbidden`` with a sentence on what is missing."""
        if self.may(permission):
            return
        if self.scopes is not None:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(
                f"This API key may not {_TO_DO[permission]} (its scopes: {held}).",
                hint="Use an API key with another scope.",
            )
        raise Forbidden(
            f"Your role ({self.role or 'none'}) may not {_TO_DO[permission]}.",
            hint="Ask an owner or an admin of the organization.",
        )


def check_grant(granter: Principal, scopes: Iterable[Scope]) -> frozenset[Scope]:
    """The scopes of a new API key. Nobody gives a key more than they may do themselves."""
    wanted = frozenset(scopes)
    if not wanted:
        raise InvalidInput("Choose at least one scope.", fields={"scopes": "choose at least one"})
    for scope in sorted(wanted):
        if not scope_permissions(scope) <= granter.permissions:
            raise Forbidden(
                f"You cannot give a key the scope {scope}: it may do more than you.",
                hint="Choose fewer scopes, or ask an owner of the organization.",
            )
    return wanted


def check_member_change(by: Role | None, *, held: Role | None, wanted: Role | None) -> None:
    """Owners are made, changed and removed by owners only; an API key (no role) is not one."""
    if by is not Role.OWNER and Role.OWNER in (held, wanted):
        raise Forbidden(
            "Only an owner can add, change or remove an owner.",
            hint="Ask an owner of the organization.",
        )


def check_owner_stays(*, held: Role, wanted: Role | None, owners: int) -> None:
    """An organization never loses its last owner, neither by removal nor by another role."""
    if held is Role.OWNER and wanted is not Role.OWNER and owners <= 1:
        raise Conflict(
            "This is the only owner of the organization.",
            hint="Make another member an owner first.",
            state="last_owner",
        )


_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)*")
_EMAIL_MAX = 254


def clean_email(text: str) -> str:
    """Case-folded: one person does not become two by a capital letter."""
    email = unicodedata.normalize("NFKC", text).strip().casefold()
    if len(email) > _EMAIL_MAX or not _EMAIL.fullmatch(email):
        raise InvalidInput(
            "This is not an email address.", fields={"email": "is not an email address"}
        )
    return email


PASSWORD_MIN, PASSWORD_MAX = 10, 1024


def check_password(password: str, *, email: str) -> str:
    if len(password) < PASSWORD_MIN:
        reason = f"needs at least {PASSWORD_MIN} characters"
    elif len(password) > PASSWORD_MAX:
        reason = f"has more than {PASSWORD_MAX} characters"
    elif password.strip().casefold() == email:
        reason = "must not be the email address"
    elif len(set(password)) < 3:
        reason = "repeats the same characters"
    else:
        return password
    raise InvalidInput(f"The password {reason}.", fields={"password": reason})


NAME_MAX = 120


def clean_name(text: str, *, field: str = "name") -> str:
    """One line that can be shown: no control characters, single spaces, not empty."""
    visible = "".join(" " if character.isspace() else character for character in text)
    name = " ".join(visible.split())
    if not name or len(name) > NAME_MAX or any(map(_is_control, name)):
        reason = f"needs 1 to {NAME_MAX} printable characters"
        raise InvalidInput(f"The name {reason}.", fields={field: reason})
    return name


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs")


_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SLUG_MAX = 60


def slug_of(name: str) -> str:
    """A short name for addresses and commands, made from the name."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", ascii_name))[: SLUG_MAX - 6].strip("-")
    return slug or "organization"


def free_slug(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, or the first of ``wanted-2``, ``wanted-3``… that is not taken."""
    used = frozenset(taken)
    slug, count = wanted, 1
    while slug in used:
        count += 1
        slug = f"{wanted}-{count}"
    return slug


def check_slug(slug: str) -> str:
    if len(slug) > SLUG_MAX or not _SLUG.fullmatch(slug):
        reason = "takes small letters, digits and single hyphens between them"
        raise InvalidInput(f"The short name {reason}.", fields={"slug": reason})
    return slug


_timezones = cache(available_timezones)


def check_timezone(name: str) -> str:
    if name not in _timezones():
        reason = "is not a time zone like Europe/Berlin"
        raise InvalidInput(f"The time zone {reason}.", fields={"timezone": reason})
    return name


ATTEMPT_WINDOW = timedelta(minutes=15)
SETUP_LINK_LIFETIME = timedelta(hours=24)
SEEN_EVERY = timedelta(minutes=1)


def seconds_to_wait(
    attempts: int, *, limit: int, oldest: datetime | None, now: datetime
) -> int | None:
    """How long logging in has to pause, or ``None`` if it may go on."""
    if attempts < limit or oldest is None:
        return None
    return max(1, int((oldest + ATTEMPT_WINDOW - now).total_seconds()) + 1)


def is_due(last: datetime | None, now: datetime) -> bool:
    """Whether "last used" is written again: once a minute is exact enough, and cheap."""
    return last is None or now - last >= SEEN_EVERY
