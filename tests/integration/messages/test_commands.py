"""``groupline messages``: the lists of what needs a person, and decisions about them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.clock import NOW
from tests.support.databases import in_own_loop
from tests.support.factories import (
    make_campaign,
    make_event,
    make_group,
    make_message,
    make_number,
    make_organization,
)
from typer.testing import CliRunner, Result

from groupline import journal
from groupline.api.messages import ChapterOut
from groupline.cli.main import app
from groupline.db import Announcements, Database
from groupline.journal import SYSTEM
from groupline.models import ScheduledWhatsappMessage
from groupline.orgs.service import find_organization

PHONE = "919876543210"
WHY = "The gateway could not send the message."
ANSWER = "HTTP 500: \x1b[2Jnot-acceptable"


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
        await _tell(session, made, own["organization_id"])
        await make_message(session, **own, status="failed")
        for day in (1, 2):
            starts = now + timedelta(days=day)
            await make_event(session, **own, starts_at=starts, ends_at=starts + timedelta(hours=1))
            await make_campaign(session, **own, number_id=number.id)
    await database.dispose()


async def _tell(session: AsyncSession, made: dict[str, UUID], organization_id: UUID) -> None:
    """What the gateway said to the first of those that failed."""
    said = {"vps_error": ANSWER, "error_message": WHY, "error_code": "rejected"}
    message = ScheduledWhatsappMessage
    values = {**said, "content": "Doors at 7,\nshow at 8"}
    await session.execute(update(message).where(message.id == made["failed"]).values(values))
    other = {"vps_error": "refused", "error_code": "unreachable"}
    await session.execute(update(message).where(message.id == made["failed2"]).values(other))
    data = {
        "status": "failed",
        "reason": "rejected",
        "sentence": WHY,
        "upstream": ANSWER,
        "startedAt": NOW.isoformat(),
    }
    await journal.record(
        session,
        action="message.failed",
        actor=SYSTEM,
        organization_id=organization_id,
        subject="message",
        subject_id=made["failed"],
        data=data,
        at=NOW + timedelta(seconds=1.5),
    )


async def _make_ended_campaign(
    url: str, ended_as: str = "failed", left: str = "failed"
) -> tuple[UUID, UUID]:
    """With its message."""
    database = Database(url, announcements=Announcements())
    async with database.writing() as session:
        own: dict[str, Any] = {"organization_id": (await find_organization(session, "one")).id}
        ended = await make_campaign(session, **own, status=ended_as, finished_at=NOW)
        message = await make_message(session, **own, campaign_id=ended.id, status=left)
    await database.dispose()
    return ended.id, message.id


def run_all(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--org", "one"])


def run(*arguments: str) -> Result:
    return run_all("messages", *arguments)


def answer(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_failed_list_is_filtered(rows: dict[str, UUID]) -> None:
    assert len(answer("list", "--state", "failed")) == 3
    mine = answer("list", "--state", "failed", "--number", f"+{PHONE}")
    assert {each["id"] for each in mine} == {str(rows["failed"]), str(rows["failed2"])}
    assert run("list", "--number", "+919999999999").exit_code == 1


@pytest.mark.parametrize("command", [["list"], ["decide", "discard"]])
def test_an_unknown_state_is_named_and_the_known_ones_are_listed(command: list[str]) -> None:
    refused = run(*command, "--state", "failed", "--state", "dead")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "groupline: 'dead' is no state of a message; they are scheduled, waiting, sending, "
        "accepted, sent, uncertain, failed, expired, cancelled\n"
    )


def test_a_list_says_of_each_message_from_where_when_what_and_what_the_gateway_said(
    rows: dict[str, UUID],
) -> None:
    lines = run("list", "--state", "failed", "--number", f"+{PHONE}").stdout.splitlines()
    assert lines[0].split() == ["ID", "STATE", "TIME"]
    place = next(n for n, line in enumerate(lines) if line.startswith(str(rows["failed"])))
    assert lines[place] == f"{rows['failed']}  failed  02 Mar 2026 17:30 IST"
    assert lines[place + 1 : place + 4] == [
        "    +91 98765 43210 → Pottery: Doors at 7, show at 8",
        f"    {WHY}",
        "    The gateway answered: HTTP 500: ?[2Jnot-acceptable",
    ]
    assert run("list", "--limit", "1").stdout.endswith(
        "There are more than 1. --limit shows up to 500.\n"
    )


@pytest.mark.parametrize(
    "command", [["messages", "list"], ["campaigns", "list"], ["events", "list"]]
)
def test_no_list_is_cut_in_silence(rows: dict[str, UUID], command: list[str]) -> None:
    """A program is told beside its JSON."""
    assert rows
    some = run_all(*command, "--limit", "1", "--json")
    assert len(json.loads(some.stdout)) == 1
    assert some.stderr == "There are more than 1. --limit shows up to 500.\n"
    assert run_all(*command, "--limit", "1").stdout.endswith(some.stderr)
    assert run_all(*command, "--json").stderr == ""


def test_an_unknown_decision_is_named_and_the_known_ones_are_listed() -> None:
    refused = run("decide", "resend")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "groupline: 'resend' is no decision; they are cancel, send-again, discard, arrived, "
        "not-arrived\n"
    )


def test_a_story_is_told_with_each_attempt_and_answer(rows: dict[str, UUID]) -> None:
    lines = run("show", str(rows["failed"])).stdout.splitlines()
    assert lines[5:7] == ["    > Doors at 7,", "    > show at 8"]
    assert lines[-4:] == [
        "02 Mar 2026 17:30:01 IST  Failed (Groupline)",
        f"    {WHY}",
        "    The gateway answered: HTTP 500: ?[2Jnot-acceptable",
        "    Attempt 1, begun at 17:30:00, took 1.5 s",
    ]
    assert sum("not-acceptable" in line for line in lines) == 1
    untold = run("show", str(rows["failed2"])).stdout.splitlines()
    assert untold[4] == "    The connection failed: refused"


def test_programs_are_told_the_story_as_the_api_tells_it(rows: dict[str, UUID]) -> None:
    told = answer("show", str(rows["failed"]))
    assert {"content", "retryCount", "errorMessage", "vpsError"} <= told.keys()
    last = told["history"][-1]
    as_in_api = ChapterOut.model_validate_json(json.dumps(last))
    assert json.loads(as_in_api.model_dump_json(by_alias=True)).keys() == last.keys()
    assert (last["text"], last["upstream"], last["data"]["reason"]) == (WHY, ANSWER, "rejected")
    assert last["attempt"] == {"number": 1, "startedAt": NOW.isoformat(), "seconds": 1.5}


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
    waits = {"waiting": 2, "waitingFor": "The number is not connected."}
    assert done == {"matched": 2, "done": 2, "calledOff": 0, **waits}
    assert len(answer("list", "--state", "failed")) == 1
    told = run("decide", "not-arrived", "--yes").output
    assert "1 message sent again; 1 waits. The number is not connected." in told
    assert run("decide", "forget").exit_code == 2


@pytest.mark.parametrize("many", [True, False])
def test_a_campaign_that_had_ended_goes_on_with_what_is_sent_again(
    database_url: str, many: bool
) -> None:
    campaign_id, message_id = in_own_loop(_make_ended_campaign(database_url))
    if many:
        answer("decide", "send-again", "--campaign", str(campaign_id), "--yes")
    else:
        answer("send-again", str(message_id))
    command = ["campaigns", "show", str(campaign_id), "--org", "one", "--json"]
    shown = CliRunner().invoke(app, command)
    assert json.loads(shown.stdout)["status"] == "sending"


def test_what_a_cancelled_campaign_does_not_send_again_is_put_away(database_url: str) -> None:
    campaign_id, _ = in_own_loop(_make_ended_campaign(database_url, "cancelled", "uncertain"))
    told = run("decide", "not-arrived", "--campaign", str(campaign_id), "--yes").output
    assert "1 message is put away and not sent again: its campaign was cancelled." in told
