"""``groupline user``, ``org`` and ``apikey``: people and programs, from the server itself.

Whoever can run these commands can read the database: they act with the rights of an owner.
"""

import secrets
import sys
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.cli.output import WRONG_USAGE, JsonOption, command, emit, fail, table
from groupline.errors import Conflict, NotFound
from groupline.journal import COMMAND_LINE
from groupline.models import Organization, User
from groupline.orgs import queries
from groupline.orgs.api_keys import create_api_key, revoke_api_key
from groupline.orgs.logins import set_password
from groupline.orgs.passwords import hash_password
from groupline.orgs.rules import Principal, Role, Scope, check_password, clean_email
from groupline.orgs.service import add_member, create_organization, find_organization
from groupline.runtime import Runtime, open_runtime
from groupline.settings import load_settings

users = typer.Typer(help="People and their passwords.", no_args_is_help=True)
organizations = typer.Typer(help="Organizations.", no_args_is_help=True)
api_keys = typer.Typer(help="API keys of organizations.", no_args_is_help=True)

Org = Annotated[str, typer.Option("--org", help="The organization's short name.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


def register(app: typer.Typer) -> None:
    app.add_typer(users, name="user")
    app.add_typer(organizations, name="org")
    app.add_typer(api_keys, name="apikey")


# People


@users.command(name="add")
@command
async def user_add(
    *,
    email: Annotated[str, typer.Argument(help="What the person logs in with.")],
    org: Org,
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.OPERATOR,
    name: Annotated[str, typer.Option(help="Without it, what stands before the @.")] = "",
    password_stdin: PasswordStdin = False,
    instance_admin: Annotated[
        bool, typer.Option(help="May manage gateways. The first person always may.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a person to an organization. Prints a new password once, unless one is given."""
    email = clean_email(email)
    async with open_runtime(load_settings()) as runtime:
        password = await _password_for(runtime, email, from_stdin=password_stdin)
        password_hash = await hash_password(password) if password is not None else None
        async with runtime.database.writing() as session:
            organization = await find_organization(session, org)
            added = await add_member(
                session,
                _owner_of(organization),
                email=email,
                role=role,
                name=name,
                password_hash=password_hash,
                now=runtime.clock.now(),
            )
            user_id = added.member.user_id
            await queries.make_instance_admin(session, user_id, only_if_first=not instance_admin)
    shown = password if not password_stdin else None
    facts = {"id": user_id, "email": email, "organization": org, "role": role}
    emit(
        facts | ({"password": shown} if shown else {}),
        as_json=as_json,
        line=f"Added {email} to {org} as {role}."
        + (f"\nPassword, shown once: {shown}" if shown else ""),
    )


@users.command(name="passwd")
@command
async def user_passwd(
    *,
    email: Annotated[str, typer.Argument(help="Whose password.")],
    password_stdin: PasswordStdin = False,
    as_json: JsonOption = False,
) -> None:
    """Set a new password, and end all logins of the person. Prints it once, unless it is given."""
    email = clean_email(email)
    password = _chosen_password(email) if password_stdin else _new_password()
    async with open_runtime(load_settings()) as runtime:
        async with runtime.database.reading() as session:
            user = await _user(session, email)
        password_hash = await hash_password(password)
        async with runtime.database.writing() as session:
            ended = await set_password(
                session,
                user,
                password_hash=password_hash,
                actor=COMMAND_LINE,
                now=runtime.clock.now(),
            )
    facts = {"id": user.id, "email": email, "endedLogins": ended}
    emit(
        facts if password_stdin else facts | {"password": password},
        as_json=as_json,
        line=f"The password of {email} was set; {ended} logins were ended."
        + ("" if password_stdin else f"\nPassword, shown once: {password}"),
    )


async def _user(session: AsyncSession, email: str) -> User:
    user = await queries.user_by_email(session, email)
    if user is None:
        raise NotFound(f"There is nobody with the address {email}.")
    return user


async def _password_for(runtime: Runtime, email: str, *, from_stdin: bool) -> str | None:
    """Of a person who is new; somebody who has an account keeps their password."""
    async with runtime.database.reading() as session:
        is_known = await queries.user_by_email(session, email) is not None
    if is_known and from_stdin:
        raise Conflict(f"{email} has an account already.", hint="`user passwd` sets a password.")
    if is_known:
        return None
    return _chosen_password(email) if from_stdin else _new_password()


def _chosen_password(email: str) -> str:
    return check_password(sys.stdin.readline().rstrip("\r\n"), email=email)


def _new_password() -> str:
    return secrets.token_urlsafe(15)


# Organizations


@organizations.command(name="list")
@command
async def org_list(as_json: JsonOption = False) -> None:
    """List the organizations, by their short names."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        found = (await session.scalars(select(Organization).order_by(Organization.slug))).all()
    rows = [
        {"id": each.id, "slug": each.slug, "name": each.name, "timezone": each.timezone}
        for each in found
    ]
    lines = [[each.slug, each.name, each.timezone] for each in found]
    emit(rows, as_json=as_json, line=table([["SHORT NAME", "NAME", "TIME ZONE"], *lines]))


@organizations.command(name="add")
@command
async def org_add(
    *,
    name: Annotated[str, typer.Argument(help="What people call it.")],
    slug: Annotated[
        str | None, typer.Option(help="Its short name; without it, made from the name.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Like Asia/Kolkata.")] = "UTC",
    as_json: JsonOption = False,
) -> None:
    """Create an organization."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        made = await create_organization(
            session,
            name=name,
            slug=slug,
            timezone=timezone,
            actor=COMMAND_LINE,
            now=runtime.clock.now(),
        )
    emit(
        {"id": made.id, "name": made.name, "slug": made.slug, "timezone": made.timezone},
        as_json=as_json,
        line=f"Created {made.name}. Its short name is {made.slug}.",
    )


def _owner_of(organization: Organization) -> Principal:
    return Principal(
        organization_id=organization.id,
        actor=COMMAND_LINE,
        role=Role.OWNER,
        scopes=None,
        user_id=None,
        api_key_id=None,
        is_instance_admin=True,
        timezone=organization.timezone,
    )


# API keys


@api_keys.command(name="create")
@command
async def apikey_create(
    *,
    org: Org,
    scopes: Annotated[str, typer.Option(help="Of read, write, send, admin; with commas.")],
    name: Annotated[
        str | None,
        typer.Option(help="Which program uses it.", show_default="the beginning of the key"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create an API key, and print it once."""
    wanted = _scopes(scopes)
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        organization = await find_organization(session, org)
        made = await create_api_key(
            session, _owner_of(organization), name=name, scopes=wanted, now=runtime.clock.now()
        )
    emit(
        {"id": made.api_key.id, "key": made.secret},
        as_json=as_json,
        line=f"Created {made.api_key.id}.\nKey, shown once: {made.secret}",
    )


@api_keys.command(name="revoke")
@command
async def apikey_revoke(
    *,
    key_id: Annotated[UUID, typer.Argument(metavar="ID", help="The id that `create` printed.")],
    org: Org,
    as_json: JsonOption = False,
) -> None:
    """Revoke an API key: it stops working at once."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        organization = await find_organization(session, org)
        key = await revoke_api_key(
            session, _owner_of(organization), key_id, now=runtime.clock.now()
        )
    emit(
        {"id": key.id, "revokedAt": key.revoked_at},
        as_json=as_json,
        line=f"The key {key.name} ({key.prefix}…) no longer works.",
    )


def _scopes(text: str) -> list[Scope]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    known = set(Scope)
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        named = ", ".join(unknown) or "none given"
        fail(f"--scopes takes read, write, send, admin: {named}", code=WRONG_USAGE)
    return [Scope(word) for word in words]
