"""The fixed cast of all tests: a member of each role, and an outsider."""

from dataclasses import dataclass
from functools import cache
from typing import Final, get_args
from uuid import UUID

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.factories import make_member, make_organization, make_user

from groupline.models import Role

PASSWORD: Final = "a long password for tests"


@dataclass(frozen=True, slots=True)
class Person:
    user_id: UUID
    email: str
    role: Role
    organization_id: UUID


@dataclass(frozen=True, slots=True)
class Cast:
    """All sign in with ``PASSWORD``. The owner is also the admin of the instance."""

    organization_id: UUID
    slug: str
    owner: Person
    admin: Person
    operator: Person
    viewer: Person
    outside_organization_id: UUID
    outside_slug: str
    outsider: Person
    """The owner of the other organization."""

    @property
    def members(self) -> tuple[Person, ...]:
        return (self.owner, self.admin, self.operator, self.viewer)


async def make_cast(session: AsyncSession) -> Cast:
    inside = await make_organization(session, name="Inside", slug="inside")
    outside = await make_organization(session, name="Outside", slug="outside")
    people = {role: await _person(session, inside.id, role, role) for role in get_args(Role)}
    return Cast(
        organization_id=inside.id,
        slug=inside.slug,
        owner=people["owner"],
        admin=people["admin"],
        operator=people["operator"],
        viewer=people["viewer"],
        outside_organization_id=outside.id,
        outside_slug=outside.slug,
        outsider=await _person(session, outside.id, "owner", "outsider"),
    )


async def _person(session: AsyncSession, organization_id: UUID, role: Role, name: str) -> Person:
    user = await make_user(
        session,
        email=f"{name}@example.test",
        name=name.capitalize(),
        password_hash=password_hash(PASSWORD),
        is_instance_admin=name == "owner",
    )
    await make_member(session, organization_id=organization_id, user_id=user.id, role=role)
    return Person(user.id, user.email, role, organization_id)


@cache
def password_hash(password: str) -> str:
    """A real argon2id hash with the smallest cost, so that signing in does not slow tests down."""
    hasher = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
    return PasswordHash((hasher,)).hash(password)
