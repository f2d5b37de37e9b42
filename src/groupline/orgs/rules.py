"""Which changes to people and organizations are allowed. Pure decisions, no I/O."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import available_timezones

from groupline.errors import Conflict, Forbidden, InvalidInput
from groupline.orgs.principal import Permission, Principal, Role, Scope, scope_permissions
from groupline.text import clean_line

__all__ = [
    "ATTEMPT_WINDOW",
    "NAME_MAX",
    "PASSWORD_MAX",
    "PASSWORD_MIN",
    "RENAMED_TIMEZONES",
    "SEEN_EVERY",
    "SETUP_LINK_LIFETIME",
    "SLUG_MAX",
    "Permission",
    "Principal",
    "Role",
    "Scope",
    "check_all",
    "check_grant",
    "check_member_change",
    "check_owner_stays",
    "check_password",
    "check_slug",
    "check_timezone",
    "clean_email",
    "clean_name",
    "free_slug",
    "is_due",
    "may_grant",
    "seconds_to_wait",
    "slug_of",
    "timezone_names",
]


def may_grant(granter: Principal, scope: Scope) -> bool:
    return scope_permissions(scope) <= granter.permissions


def check_grant(granter: Principal, scopes: Iterable[Scope]) -> frozenset[Scope]:
    """The scopes of a new API key. Nobody gives a key more than they may do themselves."""
    wanted = frozenset(scopes)
    if not wanted:
        raise InvalidInput("Choose at least one scope.", fields={"scopes": "choose at least one"})
    for scope in sorted(wanted):
        if not may_grant(granter, scope):
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


def check_all(*checks: Callable[[], object]) -> None:
    """Runs every check and names all fields that are wrong at once."""
    fields: dict[str, str] = {}
    sentences: list[str] = []
    for check in checks:
        try:
            check()
        except InvalidInput as error:
            fields |= error.fields
            sentences.append(error.detail)
    if fields:
        raise InvalidInput(" ".join(sentences), fields=fields)


_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)*")
_EMAIL_MAX = 254


def clean_email(text: str) -> str:
    """Case-folded: one person does not become two by a capital letter."""
    email = unicodedata.normalize("NFKC", text).strip().casefold()
    if len(email) > _EMAIL_MAX or not _EMAIL.fullmatch(email) or email != email.lower():
        raise InvalidInput(
            "This is not an email address.", fields={"email": "is not an email address"}
        )
    return email


PASSWORD_MIN, PASSWORD_MAX = 10, 1024


def check_password(password: str, *, email: str, field: str = "password") -> str:
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
    raise InvalidInput(f"The password {reason}.", fields={field: reason})


NAME_MAX = 120


def clean_name(text: str, *, field: str = "name") -> str:
    """One line that can be shown: no control characters, single spaces, not empty."""
    return clean_line(text, field=field, what="name", most=NAME_MAX)


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
_REGIONS = (
    "Africa/", "America/", "Antarctica/", "Arctic/", "Asia/", "Atlantic/", "Australia/",
    "Europe/", "Indian/", "Pacific/",
)  # fmt: skip


RENAMED_TIMEZONES = {
    "Africa/Asmera": "Africa/Asmara",
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Europe/Kiev": "Europe/Kyiv",
}
"""Browsers still say the old names; people look for the new ones."""


def timezone_names(current: str = "") -> list[str]:
    """What a list to choose from offers: places, UTC, and the present choice whatever it is."""
    names = {name for name in _timezones() if name.startswith(_REGIONS)} - set(RENAMED_TIMEZONES)
    return sorted(names | {"UTC"} | ({current} & _timezones()))


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
