"""``groupline templates`` and ``groupline sequences``."""

import json
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases import in_own_loop
from tests.support.factories import (
    make_organization,
    make_sequence,
    make_step,
    make_template,
)
from typer.testing import CliRunner, Result

from groupline.cli.main import app
from groupline.db import Announcements, Database


@pytest.fixture(autouse=True)
def rows(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    in_own_loop(_fill(database_url))


async def _fill(url: str) -> None:
    database = Database(url, announcements=Announcements())
    async with database.writing() as session:
        own = {"organization_id": (await make_organization(session, slug="one")).id}
        other = {"organization_id": (await make_organization(session, slug="two")).id}
        template = await make_template(
            session, **own, name="Hello", content="*{event_title}*\n{zoom_link}"
        )
        await make_template(session, **other, name="Foreign")
        sequence = await make_sequence(session, **own, name="Reminders")
        step = {"sequence_id": sequence.id, "template_id": template.id}
        await make_step(session, **own, **step, label="Live", offset_minutes=0, position=2)
        await make_step(session, **own, **step, day_offset=-1, local_time=time(10), position=1)
    await database.dispose()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--org", "one"])


def answer(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_templates_are_listed_and_shown_by_name_and_id() -> None:
    (listed,) = answer("templates", "list")
    assert (listed["name"], listed["variables"]) == ("Hello", ["event_title", "zoom_link"])
    assert answer("templates", "show", "Hello") == listed
    assert answer("templates", "show", listed["id"]) == listed
    assert run("templates", "show", "Hello").stdout == "*{event_title}*\n{zoom_link}\n"
    assert answer("templates", "list", "--search", "nothing") == []
    assert "event_title zoom_link" in run("templates", "list").stdout


def test_sequences_are_listed_and_shown_with_their_steps() -> None:
    (listed,) = answer("sequences", "list")
    assert [step["when"] for step in listed["steps"]] == [
        "the day before, at 10:00",
        "at the start",
    ]
    assert answer("sequences", "show", "Reminders") == listed
    assert answer("sequences", "show", listed["id"]) == listed
    shown = run("sequences", "show", "Reminders").stdout.splitlines()
    assert shown[2].split("  ")[0] == "at the start"
    assert "Live" in shown[2]
    assert "Reminders  2" in run("sequences", "list").stdout


@pytest.mark.parametrize("what", ["templates", "sequences"])
def test_what_is_not_there_is_said_in_one_line(what: str) -> None:
    result = run(what, "show", "Foreign")
    assert result.exit_code == 1
    assert result.stderr == f"groupline: There is no {what.removesuffix('s')} 'Foreign'.\n"
