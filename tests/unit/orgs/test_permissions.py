"""Who may do what: every role and every scope against every permission."""

from typing import get_args

import pytest

from groupline import models
from groupline.errors import Forbidden
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.orgs.rules import Permission, Principal, Role, Scope, check_grant, may_grant

READ, OPERATE, SEND, CONNECT, MEMBERS, OUTGOING, ORGANIZATION, INSTALLATION = Permission

BY_ROLE = {
    Role.VIEWER: {READ},
    Role.OPERATOR: {READ, OPERATE, SEND},
    Role.ADMIN: {READ, OPERATE, SEND, CONNECT, MEMBERS, OUTGOING},
    Role.OWNER: {READ, OPERATE, SEND, CONNECT, MEMBERS, OUTGOING, ORGANIZATION},
}
BY_SCOPE = {
    Scope.READ: {READ},
    Scope.WRITE: {READ, OPERATE, CONNECT},
    Scope.SEND: {READ, SEND},
    Scope.ADMIN: {READ, OPERATE, SEND, CONNECT, MEMBERS, OUTGOING, ORGANIZATION},
}


def person(role: Role | None, *, is_instance_admin: bool = False) -> Principal:
    user_id = new_id()
    return Principal(
        organization_id=new_id(),
        actor=Actor("user", "Person", user_id),
        role=role,
        scopes=None,
        user_id=user_id,
        api_key_id=None,
        is_instance_admin=is_instance_admin,
        timezone="UTC",
    )


def key(*scopes: Scope, is_instance_admin: bool = False) -> Principal:
    key_id = new_id()
    return Principal(
        organization_id=new_id(),
        actor=Actor("api_key", "Key", key_id),
        role=None,
        scopes=frozenset(scopes),
        user_id=None,
        api_key_id=key_id,
        is_instance_admin=is_instance_admin,
        timezone="UTC",
    )


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_exactly_what_its_row_says(role: Role, permission: Permission) -> None:
    assert person(role).may(permission) is (permission in BY_ROLE[role])


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("scope", Scope)
def test_a_scope_may_exactly_what_its_row_says(scope: Scope, permission: Permission) -> None:
    assert key(scope).may(permission) is (permission in BY_SCOPE[scope])


def test_scopes_add_up() -> None:
    assert key(Scope.WRITE, Scope.SEND).permissions == {READ, OPERATE, CONNECT, SEND}


def test_a_key_without_scopes_and_a_person_without_a_role_may_nothing() -> None:
    assert not key().permissions
    assert not person(None).permissions


@pytest.mark.parametrize("role", [None, *Role])
def test_only_a_person_administers_the_installation(role: Role | None) -> None:
    assert person(role, is_instance_admin=True).may(INSTALLATION)
    assert not key(*Scope, is_instance_admin=True).may(INSTALLATION)


@pytest.mark.parametrize("permission", [each for each in Permission if each is not INSTALLATION])
def test_what_is_missing_is_said_in_a_sentence(permission: Permission) -> None:
    with pytest.raises(Forbidden, match=r"^Your role \(none\) may not \w+") as refused:
        person(None).require(permission)
    assert refused.value.hint
    with pytest.raises(Forbidden, match=r"^This API key may not \w+ .*\(its scopes: none\)"):
        key().require(permission)


def test_nobody_is_sent_for_a_scope_or_a_role_that_manages_the_installation() -> None:
    """There is none: it is a person's, beside their role."""
    with pytest.raises(Forbidden, match=r"^No API key may manage this installation") as refused:
        key(*Scope).require(INSTALLATION)
    assert "log in as an administrator of this installation" in str(refused.value.hint)
    with pytest.raises(Forbidden, match=r"^Your role \(owner\) may not manage") as refused:
        person(Role.OWNER).require(INSTALLATION)
    assert refused.value.hint == "Ask an administrator of this installation."


def test_requiring_what_one_may_passes() -> None:
    person(Role.OWNER).require(ORGANIZATION)
    key(Scope.SEND).require(SEND)


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("role", Role)
def test_nobody_gives_a_key_more_than_they_may(role: Role, scope: Scope) -> None:
    granter = person(role)
    if BY_SCOPE[scope] <= BY_ROLE[role]:
        assert check_grant(granter, [scope]) == {scope}
    else:
        assert not may_grant(granter, scope)
        with pytest.raises(Forbidden):
            check_grant(granter, [Scope.READ, scope])


def test_the_words_are_those_of_the_tables() -> None:
    assert {role.value for role in Role} == set(get_args(models.Role))
    assert {scope.value for scope in Scope} == set(get_args(models.Scope))
