"""``groupline user``, ``org`` and ``apikey``."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from groupline.cli.main import app


@pytest.fixture(autouse=True)
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=typed)


def answer(*arguments: str, typed: str | None = None) -> dict[str, Any]:
    result = run(*arguments, "--json", typed=typed)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_an_organization_a_person_and_a_key_from_nothing() -> None:
    made = answer("org", "add", "Morning Workshops", "--timezone", "Asia/Kolkata")
    assert made["slug"] == "morning-workshops"
    person = answer("user", "add", "Me@Example.test", "--org", made["slug"], "--role", "owner")
    assert person["email"] == "me@example.test"
    assert len(person["password"]) >= 20
    key = answer("apikey", "create", "--org", made["slug"], "--scopes", "read,send")
    assert set(key) == {"id", "key"}
    assert key["key"].startswith("glk_")
    revoked = answer("apikey", "revoke", key["id"], "--org", made["slug"])
    assert revoked["revokedAt"]


@pytest.mark.parametrize("name", [None, "Reporting"])
def test_a_key_without_a_name_is_told_apart_by_its_beginning(name: str | None) -> None:
    """What it does is not to look as if the command line had done it."""
    answer("org", "add", "One")
    named = ("--name", name) if name else ()
    key = answer("apikey", "create", "--org", "one", "--scopes", "read", *named)
    revoked = run("apikey", "revoke", key["id"], "--org", "one")
    assert f"The key {name or 'Program ' + key['key'][:10]} (" in revoked.stdout


def test_a_password_that_is_given_is_not_printed() -> None:
    answer("org", "add", "One")
    secret = "a password from the pipe"
    arguments = ("user", "add", "me@example.test", "--org", "one", "--password-stdin")
    assert "password" not in answer(*arguments, typed=f"{secret}\n")
    result = run("user", "passwd", "me@example.test", "--password-stdin", typed=f"{secret}!\n")
    assert result.exit_code == 0
    assert secret not in result.output


def test_a_new_password_is_printed_once() -> None:
    answer("org", "add", "One")
    first = answer("user", "add", "me@example.test", "--org", "one")["password"]
    second = answer("user", "passwd", "me@example.test")["password"]
    assert first != second


def test_somebody_who_is_known_joins_with_their_own_password() -> None:
    for name in ("One", "Two"):
        answer("org", "add", name)
    answer("user", "add", "me@example.test", "--org", "one")
    joined = answer("user", "add", "me@example.test", "--org", "two", "--role", "viewer")
    assert "password" not in joined


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("user", "add", "me@example.test", "--org", "nowhere"), 1, "no organization 'nowhere'"),
        (("user", "add", "nonsense", "--org", "one"), 1, "not an email address"),
        (("user", "add", "me@example.test", "--org", "one", "--role", "king"), 2, "king"),
        (("user", "add", "me@example.test"), 2, "--org"),
        (("user", "passwd", "nobody@example.test"), 1, "nobody with the address"),
        (("org", "add", ""), 1, "1 to 120"),
        (("org", "add", "Other", "--slug", "one"), 1, "taken"),
        (("org", "add", "Other", "--timezone", "Mars"), 1, "time zone"),
        (("apikey", "create", "--org", "one", "--scopes", "read,all"), 2, "all"),
        (("apikey", "create", "--org", "one", "--scopes", ""), 2, "none given"),
        (("apikey", "revoke", "nonsense", "--org", "one"), 2, "Usage"),
        (("apikey", "revoke", "01a1fdb6-8df7-7001-8a7b-75207173c2ef", "--org", "one"), 1, "API"),
    ],
)
def test_what_fails_says_why_in_one_line(arguments: tuple[str, ...], code: int, said: str) -> None:
    answer("org", "add", "One")
    result = run(*arguments)
    assert result.exit_code == code
    assert said in result.output
    assert "Traceback" not in result.output
    if code == 1:
        assert len(result.output.strip().splitlines()) == 1
