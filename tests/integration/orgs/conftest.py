"""Who acts in the tests on people."""

from dataclasses import replace

import pytest
from tests.support.app import principal_of
from tests.support.cast import Cast

from groupline.journal import Actor
from groupline.orgs.rules import Principal, Scope


@pytest.fixture
def owner(cast: Cast) -> Principal:
    return principal_of(cast.owner)


@pytest.fixture
def admin(cast: Cast) -> Principal:
    return principal_of(cast.admin)


@pytest.fixture
def outsider(cast: Cast) -> Principal:
    return principal_of(cast.outsider)


@pytest.fixture
def program(owner: Principal) -> Principal:
    """An API key with the scope admin."""
    return replace(
        owner,
        actor=Actor("api_key", "Program"),
        role=None,
        user_id=None,
        scopes=frozenset({Scope.ADMIN}),
    )
