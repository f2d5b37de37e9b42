"""``groupline events``, as programs and people call it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from groupline.cli.main import app

SOON = datetime.now(UTC) + timedelta(days=5)


@pytest.fixture(autouse=True)
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def answer(*arguments: str, expect: int = 0) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == expect, result.output
    return json.loads(result.stdout)


def test_a_table_is_planned_listed_checked_and_called_off(tmp_path: Path) -> None:
    answer("org", "add", "Morning Workshops", "--timezone", "Asia/Kolkata")
    org = ("--org", "morning-workshops")
    file = tmp_path / "plan.csv"
    file.write_text(f"title,starts,host\nPottery,{SOON:%Y-%m-%d} 19:00,Jo\n")

    seen = answer("events", "import", str(file), *org, "--dry-run")
    assert (seen["events"], seen["committed"], seen["ids"]) == (1, False, [])
    made = answer("events", "import", str(file), *org)
    (event_id,) = made["ids"]
    (listed,) = answer("events", "list", *org)
    assert (listed["id"], listed["title"], listed["ready"]) == (event_id, "Pottery", False)
    assert listed["lacks"] == ["number", "groups", "sequence", "variables"]
    assert answer("events", "list", *org, "--webinars") == []

    again = answer("events", "import", str(file), *org)
    assert (again["events"], again["skipped"]) == (0, 1)
    assert again["notes"] == ["line 2, Pottery: Already there"]
    wanted = answer("events", "import", str(file), *org, "--again", "--dry-run")
    assert (wanted["events"], wanted["skipped"], wanted["committed"]) == (1, 0, False)

    found = answer("events", "preflight", event_id, *org, expect=1)
    assert {each["code"] for each in found} == {"not_ready"}
    refused = run("events", "run", event_id, *org)
    assert refused.exit_code == 1
    assert "Choose its groups." in refused.stderr
    assert answer("events", "cancel", event_id, *org) == {"cancelledMessages": 0}
    assert answer("events", "list", *org) == []


def test_a_wrong_line_is_named_and_nothing_is_planned(tmp_path: Path) -> None:
    answer("org", "add", "One")
    file = tmp_path / "plan.csv"
    file.write_text(f"title,starts\nGood,{SOON:%Y-%m-%d} 19:00\nBad,soon\n")
    result = run("events", "import", str(file), "--org", "one")
    assert result.exit_code == 1
    assert "line 3: The start “soon” is no time" in result.stderr
    assert answer("events", "list", "--org", "one") == []
