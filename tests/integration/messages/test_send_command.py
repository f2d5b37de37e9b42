"""``groupline send``: a group by any of its names, and a command that may be repeated."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.support.databases import in_own_loop
from tests.support.factories import (
    make_group,
    make_membership,
    make_number,
    make_organization,
    make_session,
)
from typer.testing import CliRunner, Result

from groupline.cli.main import app
from groupline.db import Announcements, Database
from groupline.ids import new_id

PHONE = "919876543210"


@pytest.fixture(autouse=True)
def rows(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    made: dict[str, str] = {}
    in_own_loop(_fill(database_url, made))
    return made


async def _fill(url: str, made: dict[str, str]) -> None:
    database = Database(url, announcements=Announcements())
    async with database.writing() as session:
        own: dict[str, Any] = {"organization_id": (await make_organization(session, slug="one")).id}
        number_id: UUID = (await make_number(session, **own, phone_number=PHONE)).id
        await make_session(session, **own, number_id=number_id)
        for name in ("Pottery", "Pottery club"):
            group = await make_group(session, **own, group_name=name)
            await make_membership(session, **own, number_id=number_id, group_id=group.id)
            made |= {f"id of {name}": str(group.id), f"jid of {name}": group.group_jid}
        made["not in"] = str((await make_group(session, **own, group_name="Strangers")).id)
    await database.dispose()


def send(*groups: str, options: tuple[str, ...] = (), text: str = "Hello") -> Result:
    named = [word for group in groups for word in ("--group", group)]
    words = ["send", "--org", "one", "--number", f"+{PHONE}", "--text", text, "--json"]
    return CliRunner().invoke(app, [*words, *named, *options])


def sent(*groups: str, **given: Any) -> list[dict[str, Any]]:
    result = send(*groups, **given)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_group_is_named_by_its_id_the_one_at_whatsapp_or_its_name(rows: dict[str, str]) -> None:
    for named in (rows["id of Pottery"], rows["jid of Pottery"], "Pottery"):
        assert [each["group"] for each in sent(named)] == ["Pottery"]
    assert [each["group"] for each in sent("club")] == ["Pottery club"]
    refused = send("Potter")
    assert refused.exit_code == 1
    assert "2 groups match 'Potter'" in refused.stderr


def test_an_id_of_no_group_and_of_one_that_the_number_is_not_in_are_refused(
    rows: dict[str, str],
) -> None:
    unknown = str(new_id())
    assert f"The number is in no group '{unknown}'." in send(unknown).stderr
    assert "Strangers: The number is not in this group." in send(rows["not in"]).stderr
