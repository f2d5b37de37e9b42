"""A message's whole story: each attempt, what the gateway said to it, and why it counts as sent."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.integration.messages.desk import Desk, put_message
from tests.integration.messages.outbox import PERSON, Outbox
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_message

from groupline import journal
from groupline.db import Database
from groupline.gateways.outcomes import NotSentReason, not_sent
from groupline.journal import COMMAND_LINE, SYSTEM, Actor
from groupline.messages import service
from groupline.messages.changes import MESSAGES, MessageRow, fetch, for_change, write
from groupline.messages.queries import get_view
from groupline.messages.rules import Policy, after_send
from groupline.messages.settle import concluded
from groupline.messages.shown import shown
from groupline.messages.story import Chapter, story_of
from groupline.orgs.rules import Scope


async def story(database: Database, organization_id: UUID, message_id: UUID) -> list[Chapter]:
    async with database.reading() as session:
        view = await get_view(session, organization_id, message_id)
        assert view is not None
        return await story_of(session, view)


def attempts(chapters: Sequence[Chapter]) -> list[int | None]:
    return [each.attempt.number if each.attempt else None for each in chapters]


async def test_each_attempt_keeps_what_the_gateway_said_to_it(outbox: Outbox) -> None:
    """Over the whole life: "Send again" gives it three tries more, and counts on."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("refuse", route="send", times=4, errorText="not-acceptable")
    for _ in range(3):
        await outbox.work()
        outbox.clock.advance(60)
    assert (await outbox.message(message_id)).status == "failed"
    await outbox.send_again(message_id)
    assert (await outbox.message(message_id)).attempts == 0
    for _ in range(2):
        await outbox.work()
        outbox.clock.advance(60)

    chapters = await story(outbox.database, outbox.organization_id, message_id)

    assert attempts(chapters) == [None, 1, 2, 3, None, 4, 5]
    said = [each.upstream for each in chapters if each.attempt]
    assert said == ["HTTP 200: not-acceptable"] * 4 + [None]
    begun = [each.attempt.started_at for each in chapters if each.attempt]
    assert [at - begun[0] for at in begun if at and begun[0]] == [
        timedelta(seconds=60 * place) for place in range(5)
    ]
    last = chapters[-1]
    assert last.attempt is not None
    assert last.attempt.seconds == 0.0
    assert last.evidence is not None
    sent = await outbox.message(message_id)
    assert (last.evidence.by, last.evidence.message_id) == ("answer", sent.gateway_message_id)


async def test_a_gateway_that_had_sent_it_before_is_told_from_a_new_copy(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("reset_after", route="send", times=1)
    await outbox.work()
    async with outbox.database.writing() as session:
        await service.resolve(
            session,
            outbox.organization_id,
            message_id,
            arrived=False,
            actor=PERSON,
            now=outbox.clock.now(),
        )
    await outbox.work()

    chapters = await story(outbox.database, outbox.organization_id, message_id)

    assert attempts(chapters) == [None, 1, None, 2]
    evidence = chapters[-1].evidence
    assert evidence is not None
    assert evidence.existing
    assert str(chapters[-1].text).startswith("The gateway had sent it before")
    assert await outbox.copies(sender.jids[0]) == 1


async def test_a_look_up_is_evidence_of_the_attempt_that_it_asked_about(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("error", route="send", times=1, carriedOut=True)
    await outbox.work()
    outbox.clock.advance(2)
    await outbox.reconciler.run_once()

    chapters = await story(outbox.database, outbox.organization_id, message_id)

    assert attempts(chapters) == [None, 1, 1]
    asked, found = chapters[1].attempt, chapters[2].attempt
    assert asked is not None
    assert found is not None
    assert found.started_at == asked.started_at == NOW
    assert chapters[1].upstream == "HTTP 500: Internal error"
    evidence = chapters[-1].evidence
    assert evidence is not None
    assert evidence.word == "looked up"


async def claimed(outbox: Outbox, **facts: Any) -> MessageRow:
    """A message whose request is under way."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(
        sender,
        status="sending",
        claimed_by="w",
        claimed_until=outbox.clock.now(),
        claim_token=UUID(int=1),
        request_started_at=outbox.clock.now(),
        **facts,
    )
    async with outbox.database.writing() as session:
        return (await fetch(session, for_change().where(MESSAGES.c.id == message_id)))[0]


async def test_a_report_that_came_before_the_answer_is_what_it_rests_on(outbox: Outbox) -> None:
    row, now = await claimed(outbox, gateway_message_id="3EB0"), outbox.clock.now()
    answer = not_sent(NotSentReason.NOT_CONNECTED, "not connected", http_status=503)
    change = after_send(row.facts(), answer, now=now, roll=0.0, policy=Policy())
    async with outbox.database.writing() as session:
        await write(session, [concluded(row, change)], actor=SYSTEM, now=now)

    last = (await story(outbox.database, outbox.organization_id, row.id))[-1]

    assert last.evidence is not None
    assert (last.evidence.by, last.evidence.message_id) == ("overtaken", "3EB0")
    assert "while the request was still under way" in str(last.text)


async def test_a_request_that_nobody_saw_end_has_a_beginning_and_no_length(
    outbox: Outbox,
) -> None:
    row = await claimed(outbox)
    outbox.clock.advance(60)
    await outbox.recoverer.run_once()

    last = (await story(outbox.database, outbox.organization_id, row.id))[-1]

    assert last.title == "Uncertain"
    assert last.attempt is not None
    assert (last.attempt.started_at, last.attempt.seconds) == (NOW, None)


async def test_of_a_very_long_story_the_beginning_is_counted(
    desk: Desk, database: Database
) -> None:
    async with database.writing() as session:
        message_id = await put_message(session, desk, "pending")
        waits = [
            journal.Entry(
                action="message.waiting",
                actor=SYSTEM,
                organization_id=desk.organization_id,
                subject="message",
                subject_id=message_id,
                at=NOW + timedelta(seconds=second),
                data={"status": "pending", "reason": "not_connected"},
            )
            for second in range(203)
        ]
        await journal.record_all(session, waits)

    chapters = await story(database, desk.organization_id, message_id)

    assert chapters[1].text == "3 earlier steps are only in the journal."
    assert attempts(chapters) == [None, None, *range(4, 204)]


@pytest.mark.parametrize(
    ("status", "actor", "author", "sentence"),
    [
        (
            "uncertain",
            COMMAND_LINE,
            "Command line",
            "It arrived, as somebody said on the command line.",
        ),
        ("uncertain", PERSON, "Somebody", "A person has seen it in the group."),
        (
            "uncertain",
            Actor("api_key", "Gone", PERSON.id),
            "An API key",
            "It arrived, as a program said by an API key.",
        ),
    ],
    ids=["command line", "somebody who is gone", "a key that is gone"],
)
async def test_who_wrote_and_who_decided_is_said_as_it_was(
    *, outbox: Outbox, status: str, actor: Actor, author: str, sentence: str
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(
        sender, status=status, created_by=actor.reference, gateway_message_id="3EB0"
    )
    now = outbox.clock.now()
    async with outbox.database.writing() as session:
        await service.resolve(
            session, outbox.organization_id, message_id, arrived=True, actor=actor, now=now
        )
        view = await get_view(session, outbox.organization_id, message_id)
        assert view is not None
        chapters = await story_of(session, view)
    assert chapters[0].by == author
    assert chapters[-1].evidence is not None
    assert chapters[-1].evidence.by == "person"
    assert shown(view, None, now).sentence == sentence


async def test_a_receipt_says_more_than_somebodys_word(outbox: Outbox) -> None:
    sender, now = await outbox.add_sender(), outbox.clock.now()
    said: dict[str, Any] = {"sent_at": now, "resolved_at": now, "resolved_by": PERSON.reference}
    async with outbox.database.writing() as session:
        row = await make_message(
            session,
            organization_id=outbox.organization_id,
            number_id=sender.number_id,
            group_id=sender.group_ids[0],
            status="sent",
            delivered_count=1,
            first_receipt_at=now,
            **said,
        )
        view = await get_view(session, outbox.organization_id, row.id)
    assert view is not None
    assert shown(view, None, now).sentence == "It was sent, and delivered to 1."


async def test_the_api_names_the_key_by_which_a_program_decided(
    running: RunningApp, cast: Cast, desk: Desk, database: Database
) -> None:
    async with database.writing() as session:
        message_id = await put_message(session, desk, "uncertain")
    async with await running.client_of(cast.operator, Scope.READ, Scope.SEND) as client:
        answer = (await _arrived(client, message_id)).json()
    assert answer["sentence"] == "It arrived, as a program said by the API key of the operator."
    last = answer["history"][-1]
    assert last["evidence"] == {"by": "person", "messageId": None, "existing": False}
    assert (last["upstream"], last["attempt"]) == (None, None)


async def _arrived(client: httpx.AsyncClient, message_id: UUID) -> httpx.Response:
    url = f"/api/v1/messages/{message_id}/resolve"
    return await client.post(url, json={"outcome": "arrived"})
