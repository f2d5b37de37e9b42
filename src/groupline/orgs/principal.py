"""Who asks, and what they may do: roles, scopes and permissions as total tables."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from groupline.errors import Forbidden
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
    OUTGOING = "outgoing"
    """Alert channels and webhooks: what leaves the organization by itself."""
    ORGANIZATION = "organization"
    """The organization itself."""
    INSTALLATION = "installation"
    """What all organizations share: gateways."""


_VIEW = frozenset({Permission.READ})
_RUN = _VIEW | {Permission.OPERATE, Permission.SEND}
_ADMINISTER = _RUN | {Permission.CONNECT, Permission.MEMBERS, Permission.OUTGOING}
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
            # A program that manages the work also manages the numbers it runs on; only who may
            # do both can make such a key.
            return _VIEW | {Permission.OPERATE, Permission.CONNECT}
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
    Permission.OUTGOING: "manage alerts and webhooks",
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
        if permission is Permission.INSTALLATION:
            raise self._not_of_the_installation()
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

    def _not_of_the_installation(self) -> Forbidden:
        """No role and no scope gives this: it is a person's, beside their role."""
        to_do = _TO_DO[Permission.INSTALLATION]
        if self.scopes is not None:
            return Forbidden(
                f"No API key may {to_do}, whatever its scopes.",
                hint="Only a person may: log in as an administrator of this installation, or use"
                " the command line on its machine.",
            )
        return Forbidden(
            f"Your role ({self.role or 'none'}) may not {to_do}.",
            hint="Ask an administrator of this installation.",
        )
