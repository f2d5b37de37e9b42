"""The command line: what it prints for people and for programs, and how it ends."""

import json
import shutil
from pathlib import Path

import pytest
from tests.support.processes import Installation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

PASSWORD = "a password typed by a test"


@pytest.fixture
def ready(place: Installation, sqlite_template: Path) -> Installation:
    """With a database, and nothing running."""
    place.data_dir.mkdir(mode=0o700)
    shutil.copyfile(sqlite_template, place.data_dir / "groupline.db")
    return place


def test_the_database_is_upgraded_once_and_checked(place: Installation) -> None:
    before = place.run("db", "check")
    assert (before.code, before.err) == (1, "groupline: run 'groupline db upgrade'\n")
    first = place.run("db", "upgrade", "--json").json
    assert first["before"] is None
    again = place.run("db", "upgrade", "--json").json
    assert again == {"before": first["after"], "after": first["after"]}
    checked = place.run("db", "check", "--json").json
    assert checked == {"current": first["after"], "needed": first["after"], "upToDate": True}


def test_a_command_on_a_database_without_a_schema_says_what_to_do(place: Installation) -> None:
    answer = place.run("org", "add", "Morning Workshops")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "groupline db check" in answer.err


def test_organizations_people_and_keys_are_made(ready: Installation) -> None:
    organization = ready.run("org", "add", "Morning Workshops", "--json").json
    assert (organization["slug"], organization["timezone"]) == ("morning-workshops", "UTC")
    person = ("user", "add", "owner@example.org", "--org", organization["slug"], "--role", "owner")
    added = ready.run(*person, "--password-stdin", "--json", stdin=f"{PASSWORD}\n")
    assert added.json["role"] == "owner"
    assert PASSWORD not in added.out
    made = ready.run(
        "apikey", "create", "--org", organization["slug"], "--scopes", "read,send", "--json"
    ).json
    assert made["key"].startswith("glk_")
    revoke = ("apikey", "revoke", made["id"], "--org", organization["slug"])
    assert "no longer works" in ready.run(*revoke).out


def test_a_new_password_is_shown_once_when_none_is_given(ready: Installation) -> None:
    ready.run("org", "add", "Morning Workshops")
    given = ready.run("user", "add", "viewer@example.org", "--org", "morning-workshops", "--json")
    assert len(given.json["password"]) >= 16
    changed = ready.run("user", "passwd", "viewer@example.org", "--json").json
    assert changed["password"] != given.json["password"]


def test_refusals_are_one_line_and_exit_code_1(ready: Installation) -> None:
    ready.run("org", "add", "Morning Workshops")
    refused = {
        ("org", "add", "Morning Workshops", "--slug", "morning-workshops"),
        ("apikey", "create", "--org", "nobody", "--scopes", "read"),
        ("user", "passwd", "nobody@example.org"),
        ("gateways", "probe", "Nothing"),
    }
    for words in refused:
        answer = ready.run(*words)
        assert (answer.code, answer.out) == (1, ""), words
        assert answer.err.startswith("groupline: ")
        assert answer.err.count("\n") == 1, answer.err


def test_wrong_usage_is_exit_code_2(place: Installation) -> None:
    for words in (("frobnicate",), ("org", "add"), ("db", "upgrade", "--sideways")):
        assert place.run(*words).code == 2
    scopes = place.run("apikey", "create", "--org", "any", "--scopes", "read,fly")
    assert scopes.code == 2
    assert scopes.err == "groupline: --scopes takes read, write, send, admin: fly\n"


def test_the_status_says_what_is_missing(ready: Installation) -> None:
    answer = ready.run("status", "--json")
    assert answer.code == 1
    shown = json.loads(answer.out)
    assert shown["status"] == "not_ready"
    assert shown["checks"]["database"]["ok"]
    assert not shown["checks"]["worker"]["ok"]
    assert "NOT OK" in ready.run("status").out


def test_settings_and_version_tell_all_but_the_secrets(place: Installation) -> None:
    secret = "a secret that nobody must be shown"
    place.settings |= {"GROUPLINE_SECRET_KEY": secret, "GROUPLINE_PACE_SECONDS": "2.5"}
    shown = {row["name"]: row["value"] for row in place.run("settings", "--json").json}
    assert shown["GROUPLINE_PACE_SECONDS"] == "2.5"
    assert shown["GROUPLINE_SECRET_KEY"] == "(set)"
    assert shown["GROUPLINE_GATEWAY_MAX_SESSIONS"] == "50"
    listed = place.run("settings")
    assert "Pause between two messages of a new number" in listed.out
    assert secret not in listed.out + listed.err
    version = place.run("version", "--json").json
    assert version["build"].startswith(version["version"])


def test_every_command_explains_itself(place: Installation) -> None:
    answer = place.run("--help")
    assert answer.code == 0
    for name in ("up", "web", "worker", "gateway", "db", "user", "org", "apikey", "gateways"):
        assert f" {name} " in answer.out, name


def test_the_gateway_lists_its_settings_and_takes_its_options(place: Installation) -> None:
    answer = place.run("gateway", "--help")
    assert answer.code == 0
    for name in ("API_KEY", "WEBHOOK_URL", "WEBHOOK_SECRET", "MAX_SESSIONS"):
        assert f"\n  GROUPLINE_GATEWAY_{name} " in answer.out, name
    assert "Signs the events" in answer.out
    refused = place.run("gateway", "--port", "sixty")
    assert (refused.code, "GROUPLINE_GATEWAY_PORT" in refused.err) == (2, True)


def test_gateways_are_registered_probed_and_removed(place: Installation) -> None:
    place.up()
    listed = {row["engine"]: row for row in place.run("gateways", "list", "--json").json}
    assert {row["kind"] for row in listed.values()} == {"groupline"}
    assert set(listed) == {"simulator", "whatsmeow"}
    for row in listed.values():
        assert place.run("gateways", "probe", row["name"]).code == 0
    built_in = listed["simulator"]
    probed = place.run("gateways", "probe", built_in["name"], "--json").json
    assert (probed["reachable"], probed["authenticated"]) == (True, True)
    url = f"http://127.0.0.1:{place.gateway_port}"
    add = ("gateways", "add", "--name", "Second", "--url", url, "--key", "not-the-right-key")
    assert "/hooks/" in place.run(*add, "--json").json["webhookUrl"]
    wrong_key = place.run("gateways", "probe", "Second")
    assert wrong_key.code == 1
    assert wrong_key.err == "groupline: the gateway does not answer as it should\n"
    assert place.run("gateways", "remove", "Second").code == 0


def test_a_revoked_key_stops_working_at_once(place: Installation) -> None:
    place.up()
    place.run("org", "add", "Morning Workshops")
    made = place.run(
        "apikey", "create", "--org", "morning-workshops", "--scopes", "read", "--json"
    ).json
    api = place.api(made["key"])
    api.get("/groups")
    place.run("apikey", "revoke", made["id"], "--org", "morning-workshops")
    assert api.get("/groups", expect=401)["code"] == "unauthenticated"
