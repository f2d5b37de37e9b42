"""Sending and following messages in the dashboard, as a person without JavaScript."""

import asyncio
import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from tests.integration.messages.desk import Desk, put_message
from tests.support.app import BASE_URL
from tests.support.clock import NOW
from tests.support.factories import make_campaign, make_event, make_receipt

from groupline import journal
from groupline.db import Database
from groupline.journal import SYSTEM
from groupline.models import ScheduledWhatsappMessage, WhatsappSession


def words(response: httpx.Response) -> str:
    """What a person reads, without the markup."""
    body = response.text.partition('id="content"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def test_sending_leads_to_the_list_of_what_was_just_sent(
    desk: Desk, browser: httpx.AsyncClient
) -> None:
    form = await browser.get("/send")
    assert "Pottery" in words(form)
    assert "This is a community" in words(form), "what cannot be written to says why"

    page = await browser.post(
        "/send",
        data={
            "number_id": str(desk.number_id),
            "groups": [str(each) for each in desk.groups],
            "content": "Line one\r\nLine two",
        },
    )

    assert page.status_code == 200
    assert page.url.path == "/messages"
    assert "What you just sent" in words(page)
    assert "Pottery" in words(page)
    assert "Yoga <b>" in words(page)
    assert "2 of 2 messages" in words(page)


async def test_all_groups_means_all_that_can_be_written_to(
    desk: Desk, browser: httpx.AsyncClient
) -> None:
    page = await browser.post(
        "/send",
        data={
            "number_id": str(desk.number_id),
            "groups": [str(desk.groups[0])],
            "groups_matching": "",
            "content": "To all",
        },
    )
    assert "2 of 2 messages" in words(page)


@pytest.mark.parametrize(
    ("content", "groups", "why"),
    [
        ("Hi {name}", 1, "The text still contains {name}."),
        ("", 1, "The message is empty."),
        ("Hello", 0, "Choose at least one group."),
    ],
)
async def test_a_refused_form_says_why_and_keeps_what_was_typed(
    desk: Desk, browser: httpx.AsyncClient, content: str, groups: int, why: str
) -> None:
    page = await browser.post(
        "/send",
        data={
            "number_id": str(desk.number_id),
            "groups": [str(each) for each in desk.groups[:groups]],
            "content": content,
            "media_url": "",
        },
    )
    assert page.status_code == 422
    assert why in words(page)
    assert content in unescape(page.text)
    assert len(re.findall(r"\schecked[\s>]", page.text)) == groups


def draft_of(page: httpx.Response) -> str:
    """The one-time key that the form carries."""
    found = re.search(r'name="draft" value="([^"]+)"', page.text)
    assert found is not None
    return found.group(1)


async def count_messages(database: Database) -> int:
    message = ScheduledWhatsappMessage
    async with database.reading() as session:
        own = select(func.count()).where(message.status != "failed")
        return await session.scalar(own.select_from(message)) or 0


def filled(desk: Desk, page: httpx.Response, content: str = "Once") -> dict[str, str]:
    return {
        "draft": draft_of(page),
        "number_id": str(desk.number_id),
        "groups": str(desk.groups[0]),
        "content": content,
    }


async def test_a_form_that_is_sent_twice_sends_once(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    data = filled(desk, await browser.get("/send"))
    first = await browser.post("/send", data=data)
    second = await browser.post("/send", data=data)

    assert await count_messages(database) == 1
    assert second.url == first.url, "the batch that was sent"
    assert "This was already sent" in second.text
    assert "This was already sent" not in first.text


async def test_a_form_that_is_sent_twice_at_once_sends_once(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    data = filled(desk, await browser.get("/send"))
    both = await asyncio.gather(*(browser.post("/send", data=data) for _ in range(2)))
    assert [page.status_code for page in both] == [200, 200]
    assert await count_messages(database) == 1


async def test_going_back_shows_the_same_form_and_says_that_it_was_sent(
    desk: Desk, browser: httpx.AsyncClient
) -> None:
    page = await browser.get("/send")
    assert "already sent" not in words(page)
    await browser.post("/send", data=filled(desk, page))
    again = await browser.get(str(page.url))
    assert draft_of(again) == draft_of(page)
    assert "This message was already sent" in words(again)


async def test_each_visit_is_a_new_message(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    for _ in range(2):
        page = await browser.get(f"/send?number={desk.number_id}")
        assert page.url.params["number"] == str(desk.number_id)
        await browser.post("/send", data=filled(desk, page))
    assert await count_messages(database) == 2


async def test_a_form_that_was_sent_with_other_content_can_be_sent_as_a_new_message(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    page = await browser.get("/send")
    await browser.post("/send", data=filled(desk, page))
    other = await browser.post("/send", data=filled(desk, page, "Something else"))

    assert other.status_code == 422
    assert "was sent before with other content" in words(other)
    assert "Send as a new message" in words(other)
    assert "Something else" in other.text
    assert await count_messages(database) == 1
    assert draft_of(other) != draft_of(page)

    await browser.post("/send", data=filled(desk, other, "Something else"))
    assert await count_messages(database) == 2


async def test_a_refused_form_can_be_corrected(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    page = await browser.get("/send")
    refused = await browser.post("/send", data=filled(desk, page, ""))
    assert refused.status_code == 422
    assert draft_of(refused) == draft_of(page)
    await browser.post("/send", data=filled(desk, refused))
    assert await count_messages(database) == 1


async def test_a_message_says_why_it_waits(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        await put_message(session, desk, "pending")
        pairing = await session.get(WhatsappSession, desk.session_id)
        assert pairing is not None
        pairing.status, pairing.disconnected_at = "disconnected", NOW
        pairing.ended_reason = "logged_out"

    page = await browser.get("/messages?tab=waiting")

    assert "The number is not connected." in words(page)
    assert "is not connected" in words(await browser.get("/send"))


async def test_what_waits_is_listed_as_it_goes(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        ids = [
            await put_message(session, desk, "pending", scheduled_for=NOW - timedelta(seconds=ago))
            for ago in (*range(60, 0, -1), 1)
        ]
    page = await browser.get("/messages?tab=waiting")
    listed = re.findall(r'<tr data-key="([^"]+)"', page.text)
    assert words(page).count("It is next.") == 1
    following = re.search(r'href="([^"]+cursor=[^"]+)"', page.text)
    assert following is not None
    rest = await browser.get(unescape(following[1]))
    listed += re.findall(r'<tr data-key="([^"]+)"', rest.text)
    assert listed == [str(each) for each in ids]


async def test_a_message_says_nothing_of_what_it_does_not_come_from(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    own = {"organization_id": desk.organization_id}
    async with database.writing() as session:
        message_id = await put_message(session, desk, "sent")
        event = await make_event(session, **own, kind="webinar")
        campaign = await make_campaign(session, **own, number_id=desk.number_id)
        of_event = await put_message(session, desk, "sent", event_id=event.id)
        of_campaign = await put_message(session, desk, "sent", campaign_id=campaign.id)
    pages = [await browser.get(f"/messages/{each}") for each in (message_id, of_event, of_campaign)]
    assert f"Webinar {event.title}" in words(pages[1])
    assert f"Campaign {campaign.name}" in words(pages[2])
    facts = [re.findall(r"<dt>(\w+)</dt>", page.text) for page in pages]
    origins = [[each for each in found if each in ("Webinar", "Campaign")] for found in facts]
    assert origins == [[], ["Webinar"], ["Campaign"]]


async def test_an_uncertain_message_offers_both_decisions(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        message_id = await put_message(
            session, desk, "uncertain", error_message="The gateway did not answer in time."
        )
    page = await browser.get("/messages?tab=attention")
    assert "The gateway did not answer in time." in words(page)
    assert "It arrived" in words(page)
    assert "Send again" in words(page)

    after = await browser.post(
        f"/messages/{message_id}/resolve",
        data={"arrived": "true", "back": f"/messages/{message_id}"},
    )

    assert "Noted: it arrived." in after.text
    assert "Operator has seen it in the group." in words(after)


async def test_whatever_cannot_be_taken_back_asks_first(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        off = await make_campaign(
            session,
            organization_id=desk.organization_id,
            number_id=desk.number_id,
            status="cancelled",
        )
        for status in ("pending", "failed", "uncertain"):
            await put_message(session, desk, status)
        called_off = await put_message(session, desk, "uncertain", campaign_id=off.id)
    pages = [await browser.get(path) for path in ("/messages", f"/messages/{called_off}")]
    asks: dict[bool, set[str]] = {True: set(), False: set()}
    for page in pages:
        content = page.text.partition('id="content"')[2]
        for attributes, label in re.findall(
            r'type="submit"([^>]*)>(?:(?!</button>).)*<span>([^<]+)</span>', content, re.DOTALL
        ):
            asks["data-confirm=" in attributes].add(label)
    # What failed is certainly not there, and is sent again without ado; what is uncertain, not.
    assert asks[False] == {"Send again", "Filter"}
    assert asks[True] == {"Cancel", "Discard", "It arrived", "It did not arrive", "Send again"}


LONG = "HTTP 502: <b>Bad gateway</b>\n" + "so it is, " * 60 + "the end"


@pytest.mark.parametrize(
    ("answer", "folded"),
    [('HTTP 400: {"error": "<i>no</i>"}', False), (LONG, True)],
    ids=["short", "long"],
)
async def test_what_the_gateway_answered_is_shown_word_for_word(
    *, desk: Desk, browser: httpx.AsyncClient, database: Database, answer: str, folded: bool
) -> None:
    why = "The gateway could not send the message."
    facts = {"reason": "rejected", "sentence": why, "upstream": answer, "status": "failed"}
    async with database.writing() as session:
        message_id = await put_message(
            session, desk, "failed", error_message=why, error_code="rejected", vps_error=answer
        )
        await journal.record(
            session,
            action="message.failed",
            actor=SYSTEM,
            organization_id=desk.organization_id,
            subject="message",
            subject_id=message_id,
            data=facts | {"startedAt": NOW.isoformat()},
            at=NOW + timedelta(seconds=2),
        )

    page = await browser.get(f"/messages/{message_id}")
    listed = await browser.get("/messages?tab=failed")

    story = page.text.partition("What happened")[2]
    quoted = re.search(r"<blockquote[^>]*>(.*?)</blockquote>", story, re.DOTALL)
    assert quoted is not None
    assert unescape(quoted[1]) == answer
    assert "<b>Bad" not in page.text + listed.text
    assert "<i>no" not in page.text + listed.text
    assert ("<details" in story) == folded
    assert f"{why} The gateway answered" in words(page)
    assert "Attempt 1, begun at 17:30:00 , took 2.0 s" in words(page)
    assert answer[:20] in unescape(listed.text)
    assert ("the end" in unescape(listed.text)) == (not folded and "the end" in answer)


async def test_what_the_gateway_reported_later_is_not_called_an_answer(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        message_id = await put_message(
            session,
            desk,
            "failed",
            error_message="No.",
            error_code="rejected",
            vps_error="no route",
        )
        await journal.record(
            session,
            action="message.failed",
            actor=SYSTEM,
            organization_id=desk.organization_id,
            subject="message",
            subject_id=message_id,
            data={
                "status": "failed",
                "reason": "rejected",
                "by": "callback",
                "upstream": "no route",
            },
            at=NOW,
        )
    page = words(await browser.get(f"/messages/{message_id}"))
    assert page.count("The gateway reported no route") == 2
    assert "The gateway answered" not in page


async def test_what_was_sent_shows_its_evidence(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        message_id = await put_message(session, desk, "sent")
        await journal.record(
            session,
            action="message.sent",
            actor=SYSTEM,
            organization_id=desk.organization_id,
            subject="message",
            subject_id=message_id,
            data={"status": "sent", "gatewayMessageId": "3EB0C7", "existing": True},
            at=NOW,
        )
    story = words(await browser.get(f"/messages/{message_id}")).partition("What happened")[2]
    assert "Id at WhatsApp 3EB0C7 answered sent before" in story


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "It was sent; no receipts have come yet."),
        ({"delivered_count": 2}, "It was sent, and delivered to 2."),
        ({"anonymous_delivered_count": 3}, "It was sent, and delivered to 3."),
        ({"delivered_count": 2, "read_count": 1}, "It was sent, delivered to 2 and read by 1."),
        ({"anonymous_read_count": 4}, "It was sent, delivered to 4 and read by 4."),
        (
            {"delivered_count": 2, "anonymous_read_count": 2},
            "It was sent, delivered to 4 and read by 2.",
        ),
    ],
    ids=["none yet", "delivered", "delivered without a name", "read", "only read", "both"],
)
async def test_a_sent_message_counts_its_receipts_once_there_are_any(
    *,
    desk: Desk,
    browser: httpx.AsyncClient,
    database: Database,
    counts: dict[str, int],
    sentence: str,
) -> None:
    """Nobody is told of a 0 that only means that nothing is known yet."""
    received = NOW if counts else None
    async with database.writing() as session:
        message_id = await put_message(session, desk, "sent", first_receipt_at=received, **counts)
    for path in (f"/messages/{message_id}", "/messages?tab=sent"):
        seen = words(await browser.get(path))
        assert sentence in seen
        assert ("delivered to" in seen) == bool(counts)


@pytest.mark.parametrize(("count", "cut"), [(100, []), (103, ["The latest 100 of 103."])])
async def test_receipts_that_are_not_shown_are_counted(
    *, desk: Desk, browser: httpx.AsyncClient, database: Database, count: int, cut: list[str]
) -> None:
    async with database.writing() as session:
        message_id = await put_message(session, desk, "sent", anonymous_read_count=2)
        for _ in range(count):
            await make_receipt(session, organization_id=desk.organization_id, message_id=message_id)
    page = await browser.get(f"/messages/{message_id}")
    seen = words(page)
    assert len(re.findall(r"<tr data-key=", page.text)) == 100
    assert re.findall(r"The latest \d+ of \d+\.", seen) == cut
    assert "Without a name: 2 delivered, 2 read." in seen


async def test_failed_messages_are_sent_again_or_put_away(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        first = await put_message(session, desk, "failed", vps_error="HTTP 400: no such group")
        second = await put_message(session, desk, "failed", 1)
    story = await browser.get(f"/messages/{first}")
    assert "HTTP 400: no such group" in words(story)

    again = await browser.post(f"/messages/{first}/send-again")
    away = await browser.post(f"/messages/{second}/cancel")

    assert "It is sent again." in again.text
    assert "Put away." in away.text


async def test_what_is_put_away_says_why_it_failed_and_only_the_rest_was_called_off(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    answer = "HTTP 400: no such group"
    why: dict[str, Any] = {"error_message": "The gateway refuses it.", "vps_error": answer}
    before: dict[str, Any] = {"gateway_message_id": "3EB0", "sent_at": NOW}
    async with database.writing() as session:
        ids = [
            await put_message(session, desk, "failed", error_code="bad_request", **why),
            await put_message(session, desk, "failed", 1, error_code="bad_request", **why),
            await put_message(session, desk, "cancelled", **before),  # by an earlier version
            await put_message(session, desk, "pending", 1, next_attempt_at=NOW, **why),
        ]
    await browser.post(f"/messages/{ids[0]}/cancel")
    await browser.post("/messages/bulk", data={"action": "discard", "ids": [str(ids[1])]})
    await browser.post(f"/messages/{ids[3]}/cancel")
    stories = [words(await browser.get(f"/messages/{each}")) for each in ids]

    put_away = "It failed and was put away. The gateway refuses it."
    rejected, called_off = "It was put away after WhatsApp rejected it.", "It was called off."
    assert [put_away in each for each in stories] == [True, True, False, False]
    assert [answer in each for each in stories] == [True, True, False, False]
    assert [rejected in each for each in stories] == [False, False, True, False]
    assert [called_off in each for each in stories] == [False, False, False, True]


async def test_only_what_is_sent_names_a_time_at_which_it_was(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    """WhatsApp rejected a copy of the other one, and it waits to be sent again."""
    before = NOW - timedelta(days=3)
    async with database.writing() as session:
        ids = [
            await put_message(session, desk, "sent", sent_at=before),
            await put_message(session, desk, "pending", 1, sent_at=before, accepted_at=before),
        ]
    listed = words(await browser.get("/messages"))
    assert (listed.count("Fri 27 Feb 2026"), listed.count("Mon 02 Mar 2026")) == (1, 1)
    for message_id, is_named in zip(ids, (True, False), strict=True):
        page = (await browser.get(f"/messages/{message_id}")).text
        assert ("<dt>Sent</dt><dd>–</dd>" not in page) == is_named


async def test_a_refused_decision_is_a_conflict_with_its_reason(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        message_id = await put_message(session, desk, "sent")
    here = f"/messages/{message_id}"
    for referer, ways in (
        (f"{BASE_URL}{here}?a=b", [f"{here}?a=b", "/"]),
        ("https://elsewhere.example/messages", ["/"]),
        (f"{BASE_URL}//elsewhere.example", ["/"]),
        (None, ["/"]),
    ):
        headers = {"Referer": referer} if referer else {}
        page = await browser.post(f"{here}/cancel", headers=headers)
        assert page.status_code == 409
        assert "This message is sent already." in unescape(page.text)
        assert re.findall(r'class="button[^"]*" href="([^"]+)"', page.text) == ways


async def test_what_is_not_ours_does_not_exist(desk: Desk, browser: httpx.AsyncClient) -> None:
    assert (await browser.get(f"/messages/{desk.foreign_message}")).status_code == 404
    assert (await browser.get("/messages/nonsense")).status_code == 404
    assert (await browser.post(f"/messages/{desk.foreign_message}/cancel")).status_code == 404


async def test_the_pages_of_a_long_list_go_on(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        for n in range(60):
            await put_message(session, desk, "sent", scheduled_for=NOW - timedelta(minutes=n))
    first = await browser.get("/messages?tab=sent")
    link = re.search(r'href="(/messages\?[^"]*cursor=[^"]*)"', first.text)
    assert link is not None
    second = await browser.get(unescape(link.group(1)))
    rows = [re.findall(r'data-key="([^"]+)"', page.text) for page in (first, second)]
    assert [len(each) for each in rows] == [50, 10]
    assert set(rows[0]).isdisjoint(rows[1])
