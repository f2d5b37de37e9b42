"""The page "Groups": what a person sees and is told."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from html import unescape
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from tests.contract.scripted import answer
from tests.integration.groups.conftest import Phone, listed, many
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast, Person
from tests.support.factories import make_number

from groupline.errors import GrouplineError
from groupline.groups import turns
from groupline.runtime import Runtime

CONNECTION = "/settings/connection"


@asynccontextmanager
async def signed_in(running: RunningApp, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": "text/html", "Origin": BASE_URL}
    async with running.client(headers=headers, follow_redirects=True) as browser:
        await browser.post("/login", data={"email": person.email, "password": PASSWORD})
        yield browser


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(running, cast.operator) as browser:
        yield browser


def words(response: httpx.Response) -> str:
    """What a person reads, without the markup."""
    body = response.text.partition('id="content"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def press_sync(browser: httpx.AsyncClient, phone: Phone, **more: str) -> httpx.Response:
    form = {"number_id": str(phone.number_id)} | more
    return await browser.post("/groups/sync", data=form)


async def test_after_a_sync_the_page_says_saved_27_groups_and_shows_them(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    phone.lists(many(27))

    page = await press_sync(browser, phone)

    assert page.status_code == 200
    assert "Saved 27 groups" in words(page)
    assert "Workshop 0000" in words(page)
    assert "Workshop 0026" in words(page)
    assert "27 of 27 groups" in words(page)


async def test_a_failure_is_told_with_its_text_and_stays_on_the_page(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    phone.gateway.says(answer(500, {"error": "the engine is on fire"}))

    failed = await press_sync(browser, phone)
    page = await browser.get("/groups")

    assert failed.status_code == 502
    assert "the engine is on fire" in words(failed)
    assert "the engine is on fire" in words(page)


async def test_a_failure_is_on_the_card_of_the_number_with_its_time_until_a_sync_succeeds(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    phone.gateway.says(answer(500, {"error": "the engine is on fire"}))
    await press_sync(browser, phone, back=CONNECTION)

    card = await browser.get(CONNECTION)
    assert "The last sync of its groups failed" in words(card)
    assert "the engine is on fire" in words(card)
    assert "Tried 0 s ago" in words(card)
    assert "Sync again" in words(card)

    phone.lists(many(3))
    healed = await press_sync(browser, phone, back=CONNECTION)
    assert "Saved 3 groups" in words(healed)
    assert "failed" not in words(healed)
    assert "Sync again" not in words(healed)


async def test_a_failure_that_a_viewer_sees_offers_no_button(
    phone: Phone, running: RunningApp, cast: Cast
) -> None:
    phone.gateway.says(answer(500, {"error": "the engine is on fire"}))
    with suppress(GrouplineError):
        await phone.synced()

    async with signed_in(running, cast.viewer) as viewer:
        card = await viewer.get(CONNECTION)

    assert "the engine is on fire" in words(card)
    assert "Sync again" not in words(card)


async def test_a_card_says_that_its_groups_are_being_synced(
    phone: Phone, browser: httpx.AsyncClient, runtime: Runtime
) -> None:
    async with runtime.database.writing() as session:
        await turns.take_turn(session, phone.number_id, "a run", runtime.clock.now())

    card = await browser.get(CONNECTION)

    assert "Asking the gateway for the groups, begun 0 s ago" in words(card)


async def test_a_number_in_no_group_is_told_so_and_nothing_is_called_odd(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    phone.lists([])

    page = await press_sync(browser, phone)

    assert "+91" in words(page)
    assert "is in no group WhatsApp shows no groups for this number." in words(page)
    assert "odd" not in words(page)
    assert "Saved 0 groups" not in words(page)
    assert "WhatsApp shows no groups for this number." in words(await browser.get(CONNECTION))


async def test_a_suspicious_list_is_explained_and_can_be_accepted(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    await phone.synced(many(10))
    phone.lists(many(2))

    page = await press_sync(browser, phone)
    assert "Saved 10 groups. The gateway left out 8 of the 10 groups" in words(page)
    assert "They were left" in words(page)

    accepted = await press_sync(browser, phone, accept_missing="true")
    assert "Saved 2 groups" in words(accepted)
    assert "They were left" not in words(accepted)


async def test_without_a_number_the_page_leads_to_the_connection(
    browser: httpx.AsyncClient,
) -> None:
    page = await browser.get("/groups")

    assert "No WhatsApp number yet" in words(page)
    assert 'href="/settings/connection"' in page.text


async def test_a_connected_number_without_groups_offers_a_sync(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    page = await browser.get("/groups")

    assert "No groups saved yet" in words(page)
    assert "Sync groups" in words(page)


async def test_a_number_that_is_not_connected_is_not_offered_a_sync(
    running: RunningApp, cast: Cast, browser: httpx.AsyncClient
) -> None:
    async with running.runtime.database.writing() as session:
        await make_number(session, organization_id=cast.organization_id)

    page = await browser.get("/groups")

    assert "Reconnect it" in words(page)
    assert 'action="/groups/sync"' not in page.text


async def test_search_finds_without_accents_and_says_when_nothing_matches(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, name="Café Québec"), listed(2, name="Morgenkreis")])

    found = await browser.get("/groups", params={"q": "QUEBEC cafe"})
    nothing = await browser.get("/groups", params={"q": "zebra"})

    assert "Café Québec" in words(found)
    assert "Morgenkreis" not in words(found)
    assert "No group matches" in words(nothing)


async def test_groups_of_one_name_are_told_apart_by_their_short_ids(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, name="Alumni"), listed(2, name="Alumni")])

    page = await browser.get("/groups")

    assert "Alumni 000001" in words(page)
    assert "Alumni 000002" in words(page)


async def test_why_a_group_cannot_be_written_to_is_a_sentence(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, announceOnly=True), listed(2, isCommunity=True)])

    page = await browser.get("/groups", params={"show": "unsendable"})

    assert "Only admins can write here, and your number is not an admin." in words(page)
    assert "This is a community; messages go to the groups in it." in words(page)


async def test_a_name_is_shown_as_text_whatever_is_in_it(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, name="<script>alert('x')</script> \u0007& \u202eevil")])

    page = await browser.get("/groups")

    assert "<script>alert" not in page.text
    assert "<script>alert('x')</script> & evil" in words(page)


async def test_more_groups_than_fit_are_loaded_with_the_same_filter(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    await phone.synced(many(60))

    first = await browser.get("/groups", params={"q": "workshop"})
    (more,) = re.findall(r'href="(/groups\?[^"]*cursor=[^"]*)"', first.text)
    second = await browser.get(unescape(more))

    assert "Workshop 0049" in words(first)
    assert "Workshop 0050" not in words(first)
    assert "Workshop 0050" in words(second)
    assert "Workshop 0059" in words(second)


async def test_a_group_has_a_page_with_its_numbers_and_participants(
    phone: Phone, browser: httpx.AsyncClient
) -> None:
    await phone.synced([listed(1, isAdmin=True)])
    (saved,) = (await phone.saved()).values()
    phone.gateway.says(answer(200, {"participants": [{"id": "919876543210@s.whatsapp.net"}]}))

    page = await browser.get(f"/groups/{saved.group.id}", params={"participants": "true"})

    assert page.status_code == 200
    assert "Workshop 0001" in words(page)
    assert "+91 98765 43210" in words(page)
    assert saved.group.group_jid in words(page)


async def test_a_viewer_sees_the_groups_and_no_buttons(
    phone: Phone, running: RunningApp, cast: Cast
) -> None:
    await phone.synced(many(3))
    async with signed_in(running, cast.viewer) as viewer:
        page = await viewer.get("/groups")
        refused = await press_sync(viewer, phone)

    assert "Workshop 0002" in words(page)
    assert 'action="/groups/sync"' not in page.text
    assert refused.status_code == 403


async def test_a_sync_under_way_says_how_far_it_is(
    phone: Phone, browser: httpx.AsyncClient, runtime: Runtime
) -> None:
    now = runtime.clock.now()
    async with runtime.database.writing() as session:
        assert await turns.take_turn(session, phone.number_id, "a run", now)
    asking = await browser.get("/groups")
    async with runtime.database.writing() as session:
        await turns.note_fetched(session, phone.number_id, "another run", 7)
        await turns.note_fetched(session, phone.number_id, "a run", 5_000)
    saving = await browser.get("/groups")

    assert "Asking the gateway for the groups, begun" in words(asking)
    assert "Saving 5,000 groups, begun" in words(saving)


@pytest.mark.parametrize(("groups", "told"), [(499, []), (500, [500])])
async def test_a_long_sync_tells_how_many_groups_it_saves(
    phone: Phone, monkeypatch: pytest.MonkeyPatch, groups: int, told: list[int]
) -> None:
    noted: list[int] = []
    note = turns.note_fetched

    async def listening(session: AsyncSession, number_id: UUID, owner: str, count: int) -> None:
        noted.append(count)
        await note(session, number_id, owner, count)

    monkeypatch.setattr(turns, "note_fetched", listening)
    result = await phone.synced(many(groups))

    assert (noted, result.saved_count) == (told, groups)
