"""``groupline numbers``: the list, and stopping what a number sends."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases import in_own_loop
from tests.support.factories import make_message, make_number, make_organization, make_session
from typer.testing import CliRunner, Result

from groupline.cli.main import app
from groupline.db import Announcements, Database


@pytest.fixture(autouse=True)
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    in_own_loop(_fill(database_url))


async def _fill(url: str) -> None:
    """One that is connected and has a message that is due, and one that never was."""
    database, now = Database(url, announcements=Announcements()), datetime.now(UTC)
    async with database.writing() as session:
        place = await make_organization(session, slug="one", timezone="Asia/Kolkata")
        own: dict[str, Any] = {"organization_id": place.id}
        number = await make_number(session, **own, phone_number="919876543210")
        await make_session(session, **own, number_id=number.id, verified_at=now)
        at = now - timedelta(minutes=1)
        await make_message(session, **own, number_id=number.id, scheduled_for=at)
        await make_number(session, **own, phone_number="14155550136", display_name="Second line")
        other = (await make_organization(session)).id
        await make_number(session, organization_id=other, phone_number="919812345678")
    await database.dispose()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["numbers", *arguments, "--org", "one"])


def answer(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_number_is_paused_and_resumed_and_the_list_says_so() -> None:
    first, second = answer("list")
    assert (first["state"], first["pausedAt"]) == ("connected", None)
    assert (second["displayName"], second["state"]) == ("Second line", "never_connected")
    paused = answer("pause", "+91 98765 43210")
    assert (paused["state"], paused["pausedBy"]) == ("connected", "Command line")
    assert paused["messagesWaiting"] == 1
    assert answer("list")[0] == paused
    listed = run("list").stdout
    assert "Connected, paused" in listed
    assert "IST by Command line: nothing is sent. 1 message waits." in listed
    resumed = run("resume", "919876543210")
    assert resumed.stdout.strip() == "+91 98765 43210: Connected and ready to send."
    assert answer("list")[0]["pausedAt"] is None


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_number_that_is_not_there_is_named(command: str) -> None:
    result = run(command, "+91 98123 45678")  # another organization's
    assert result.exit_code == 1
    assert "has no number +91 98123 45678" in result.output
