"""``groupline status`` tells of each gateway how it is, and what it carries."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.support.clock import NOW
from tests.support.factories import make_gateway, make_organization, make_session
from typer.testing import CliRunner

from groupline.cli.main import app
from groupline.db import Announcements, Database


@pytest.fixture(autouse=True)
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


async def fill(database_url: str) -> None:
    """One that answers and carries a phone, one that does not, one not asked, one disabled."""
    database = Database(database_url, announcements=Announcements())
    async with database.writing() as session:
        near = await make_gateway(session, name="Near", last_seen_at=NOW)
        inside = (await make_organization(session)).id
        await make_session(session, organization_id=inside, gateway_id=near.id)
        await make_session(session, organization_id=inside, gateway_id=near.id, status="qr_pending")
        await make_gateway(
            session,
            name="Far",
            last_seen_at=NOW,
            unreachable_since=NOW,
            last_error="It cannot be reached.",
        )
        await make_gateway(session, name="New", last_seen_at=None)
        await make_gateway(session, name="Off", last_seen_at=NOW, enabled=False)
    await database.dispose()


def test_each_gateway_has_a_line(database_url: str) -> None:
    asyncio.run(fill(database_url))
    result = CliRunner().invoke(app, ["status", "--json"])
    assert result.exit_code == 1, result.output  # no worker is alive
    answer = json.loads(result.stdout)
    found = {
        each["name"]: (each["state"], each["connectedSessions"]) for each in answer["gateways"]
    }
    assert found == {
        "Near": ("reachable", 1),
        "Far": ("unreachable", 0),
        "New": ("not asked yet", 0),
        "Off": ("disabled", 0),
    }
    lines = CliRunner().invoke(app, ["status"]).stdout.splitlines()
    [near] = [line for line in lines if "Near" in line]
    assert near.split() == ["gateway", "“Near”", "reachable", "1", "session", "connected"]
    [far] = [line for line in lines if "Far" in line]
    since = f"since {NOW:%Y-%m-%d %H:%M} UTC, It cannot be reached."
    assert ("UNREACHABLE" in far, far.endswith(since)) == (True, True)


def test_without_a_database_there_is_nothing_to_tell_of_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", f"sqlite:///{tmp_path / 'nothing.db'}")
    result = CliRunner().invoke(app, ["status", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["gateways"] == []


def test_before_the_first_upgrade_it_says_what_to_do(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", empty_database_url)
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert "run 'groupline db upgrade'" in result.stdout
    assert "does not answer" not in result.stdout


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_a_database_that_is_away_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/x")
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert result.stderr.startswith("groupline: The database cannot be reached: ")
    assert result.stderr.count("\n") == 1
