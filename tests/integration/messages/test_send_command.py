"""``groupline send``: a group by any of its names, and a command that may be repeated."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.support.databases import in_own_loop
from tests.support.factories import (
    make_group,
    make_idempotency_key,
    make_membership,
    make_number,
    make_organization,
    make_session,
)
from tests.support.proxy import proxy_to
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
        answered: dict[str, Any] = {"status_code": 201, "response_body": "encrypted"}
        await make_idempotency_key(session, **own, key="of the api", **answered)
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


def count() -> int:
    listed = CliRunner().invoke(app, ["messages", "list", "--org", "one", "--json"])
    return len(json.loads(listed.stdout))


def test_the_same_command_with_the_same_key_sends_once(rows: dict[str, str]) -> None:
    first = sent("Pottery", "club", options=("--key", "evening"))
    assert sent("Pottery", "club", options=("--key", "evening")) == first
    assert (len(first), count()) == (2, 2)
    sent("Pottery", "club", options=("--key", "morning"))
    assert count() == 4
    assert sent("Pottery") != sent("Pottery")


def test_a_key_that_came_with_another_request_is_refused_and_nothing_is_sent() -> None:
    sent("Pottery", options=("--key", "evening"))
    others = (
        send("Pottery", text="Other", options=("--key", "evening")),
        send("club", options=("--key", "evening")),
        send("Pottery", options=("--key", "of the api")),
    )
    for refused in others:
        assert refused.exit_code == 1
        assert "This key came with another request before. Use a new key" in refused.stderr
    assert send("Pottery", options=("--key", "x" * 256)).exit_code == 2
    assert send("Pottery", options=("--key", "")).exit_code == 2
    assert count() == 1


def test_a_refused_command_leaves_its_key_free() -> None:
    assert send("Nobody", options=("--key", "evening")).exit_code == 1
    assert len(sent("Pottery", options=("--key", "evening"))) == 1


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize("on_the_way", [True, False])
async def test_after_a_lost_commit_it_names_the_key_and_repeating_it_sends_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch, *, on_the_way: bool
) -> None:
    async with proxy_to(database_url) as proxy:
        monkeypatch.setenv("GROUPLINE_DATABASE_URL", proxy.url)
        proxy.lose_the_answer_to(b"COMMIT", on_the_way=on_the_way)
        lost = await asyncio.to_thread(send, "Pottery", options=("--key", "evening"))
        assert (proxy.lost, lost.exit_code) == (1, 1)
        assert "or not at all. Repeat the same command with the same --key: what is" in lost.stderr
        again = await asyncio.to_thread(send, "Pottery", options=("--key", "evening"))
        assert again.exit_code == 0, again.output
        assert await asyncio.to_thread(count) == 1

        proxy.lose_the_answer_to(b"COMMIT", on_the_way=on_the_way)
        lost = await asyncio.to_thread(send, "Pottery")
        assert "Look what is there before you repeat it. A command that has a --key" in lost.stderr
