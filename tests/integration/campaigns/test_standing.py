"""How a campaign stands, as its page and the list say it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import update
from tests.integration.campaigns.test_api import UNCERTAIN, act, create, messages, put
from tests.integration.campaigns.test_pages import logged_in, words
from tests.integration.messages.desk import Desk
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW

from groupline.db import Database
from groupline.models import WhatsappNumber


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with logged_in(running, cast.operator) as browser:
        yield browser


async def change_number(database: Database, desk: Desk, **values: object) -> None:
    async with database.writing() as session:
        own = update(WhatsappNumber).where(WhatsappNumber.id == desk.number_id)
        await session.execute(own.values(**values))


@pytest.mark.parametrize(("delay", "pace", "said"), [(0, 2, "2.1"), (4, 2, "4.2"), (0, 0, "0.2")])
async def test_the_end_is_told_with_the_pace_that_it_is_reckoned_with(
    *,
    desk: Desk,
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    database: Database,
    delay: int,
    pace: int,
    said: str,
) -> None:
    await change_number(database, desk, pace_seconds=pace)
    campaign = await create(client, desk, start=True, delaySeconds=delay)
    page = words(await browser.get(f"/campaigns/{campaign['id']}"))
    assert f"IST at one every {said} s" in page


async def test_what_waits_for_its_number_is_not_called_sending(
    desk: Desk, client: httpx.AsyncClient, browser: httpx.AsyncClient, database: Database
) -> None:
    here = f"/campaigns/{(await create(client, desk, start=True))['id']}"
    for path in (here, "/campaigns"):
        assert 'data-state="sending"' in (await browser.get(path)).text
    assert "Left 2 0.0 sent a minute, lately" in words(await browser.get(here))

    await change_number(database, desk, paused_at=NOW)

    for path in (here, "/campaigns"):
        page = await browser.get(path)
        assert 'data-state="sending"' not in page.text, path
        assert 'data-state="waiting"' in page.text, path
        assert "The number is paused since 2 Mar, " in words(page), path
    page = await browser.get(here)
    assert "a minute" not in words(page), "nothing goes out"
    assert "It goes on by itself when that is over" in words(page)


async def test_what_is_uncertain_is_not_said_to_be_on_its_way(
    desk: Desk, client: httpx.AsyncClient, browser: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    first, second = await messages(database, campaign)
    await put(database, [first.id], **UNCERTAIN)
    await put(database, [second.id], status="accepted", accepted_at=NOW)
    await act(client, campaign, "cancel")
    for path in ("/campaigns", f"/campaigns/{campaign['id']}"):
        assert "Cancelled; 1 still on the way; 1 uncertain" in words(await browser.get(path)), path
    await put(database, [second.id], **UNCERTAIN)
    page = words(await browser.get(f"/campaigns/{campaign['id']}"))
    assert "Cancelled; 2 uncertain" in page
    assert "on the way" not in page
