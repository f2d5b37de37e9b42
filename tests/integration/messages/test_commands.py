"""``groupline messages``: the lists of what needs a person, and decisions about them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.support.databases import in_own_loop
from tests.support.factories import make_group, make_message, make_number, make_organization
from typer.testing import CliRunner, Result

from groupline.cli.main import app
from groupline.db import Announcements, Database

PHONE = "919876543210"


@pytest.fixture(autouse=True)
def rows(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, UUID]:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    made: dict[str, UUID] = {}
    in_own_loop(_fill(database_url, made))
    return made


async def _fill(url: str, made: dict[str, UUID]) -> None:
    database, now = Database(url, announcements=Announcements()), datetime.now(UTC)
    async with database.writing() as session:
        own: dict[str, Any] = {"organization_id": (await make_organization(session, slug="one")).id}
        number = await make_number(session, **own, phone_number=PHONE)
        group = await make_group(session, **own, group_name="Pottery")
        for name in ("failed", "failed2", "uncertain", "pending"):
            facts: dict[str, Any] = {
                "number_id": number.id,
                "group_id": group.id,
                "status": name.rstrip("2"),
            }
            made[name] = (
                await make_message(session, **own, **facts, expires_at=now + timedelta(hours=1))
            ).id
        await make_message(session, **own, status="failed")
    await database.dispose()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["messages", *arguments, "--org", "one"])


def answer(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_failed_list_is_filtered(rows: dict[str, UUID]) -> None:
    assert len(answer("list", "--state", "failed")) == 3
    mine = answer("list", "--state", "failed", "--number", f"+{PHONE}")
    assert {each["id"] for each in mine} == {str(rows["failed"]), str(rows["failed2"])}
    assert run("list", "--number", "+919999999999").exit_code == 1
    assert run("list", "--state", "dead").exit_code == 2


def test_one_message_is_put_away_but_only_if_it_failed(rows: dict[str, UUID]) -> None:
    assert answer("discard", str(rows["failed"]))["status"] == "cancelled"
    refused = run("discard", str(rows["pending"]))
    assert refused.exit_code == 1
    assert "Only a failed message" in refused.output


def test_many_are_counted_first_and_decided_with_a_word() -> None:
    counted = run("decide", "send-again", "--number", f"+{PHONE}")
    assert "2 messages would be sent again. Add --yes to do it." in counted.output
    assert len(answer("list", "--state", "failed")) == 3
    done = answer("decide", "send-again", "--number", f"+{PHONE}", "--yes")
    assert done == {"matched": 2, "done": 2, "calledOff": 0}
    assert len(answer("list", "--state", "failed")) == 1
    assert answer("decide", "arrived", "--yes") == {"matched": 1, "done": 1, "calledOff": 0}
    assert run("decide", "forget").exit_code == 2
