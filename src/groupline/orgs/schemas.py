"""What the use cases on people take and give."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from groupline.journal import Actor
from groupline.models import ApiKey, Organization, User
from groupline.orgs.rules import Principal, Role


@dataclass(frozen=True, slots=True)
class Membership:
    """A person in one organization."""

    organization_id: UUID
    slug: str
    name: str
    timezone: str
    role: Role


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person with a login that is valid now, and the organizations they belong to."""

    login_id: UUID
    user_id: UUID
    email: str
    name: str
    is_instance_admin: bool
    last_seen_at: datetime
    expires_at: datetime
    memberships: tuple[Membership, ...]

    @property
    def actor(self) -> Actor:
        return Actor("user", self.name, self.user_id)

    def principal(self, membership: Membership) -> Principal:
        return Principal(
            organization_id=membership.organization_id,
            actor=self.actor,
            role=membership.role,
            scopes=None,
            user_id=self.user_id,
            api_key_id=None,
            is_instance_admin=self.is_instance_admin,
            timezone=membership.timezone,
        )


@dataclass(frozen=True, slots=True)
class NewLogin:
    """The token goes into the cookie; it is not stored and cannot be had again."""

    token: str
    login_id: UUID
    user_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    user_id: UUID
    email: str
    name: str
    role: Role
    is_invited: bool
    """Has no password yet: the one-time link was not used."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AddedMember:
    member: Member
    link_token: str | None
    """Of the one-time link to choose a password, for a person who is new to Groupline."""


@dataclass(frozen=True, slots=True)
class NewApiKey:
    api_key: ApiKey
    secret: str
    """The key itself: shown once."""


@dataclass(frozen=True, slots=True)
class FirstRun:
    user: User
    organization: Organization


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try to log in that was counted before it was made."""

    account_bucket: str
    address_attempt_id: UUID
