"""The groups of a campaign as a table: looked at first, then added."""

import re

import httpx
from sqlalchemy import select
from tests.integration.campaigns.test_pages import browser, campaign_id, count, plan, start, words
from tests.integration.messages.desk import Desk
from tests.support.factories import make_group

from groupline.db import Database
from groupline.models import CampaignGroup, ScheduledWhatsappMessage

__all__ = ["browser"]


async def groups_of(database: Database) -> set[object]:
    async with database.reading() as session:
        return set(await session.scalars(select(CampaignGroup.group_id)))


async def test_a_list_is_looked_at_and_then_added_to_the_groups_of_the_draft(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    groups = (await plan(browser, desk)).replace("check", "groups")
    async with database.writing() as session:
        late = await make_group(
            session, organization_id=desk.organization_id, group_name="Late comers"
        )
    assert f'href="{groups}/import"' in (await browser.get(groups)).text
    assert "it takes none away" in words(await browser.get(f"{groups}/import"))
    table = "\ufeffgroup;note\r\nlate comers;x\r\nPottery;\r\nNobody;\r\n"
    files = {"file": ("groups.csv", table.encode(), "text/csv")}
    seen = await browser.post(f"{groups}/import", files=files)
    assert seen.status_code == 422
    assert "Line 4: There is no group “Nobody”." in words(seen)
    assert "Nothing has been saved yet." in words(seen)
    assert "Add 2 groups" in words(seen)
    assert await groups_of(database) == set(desk.groups)

    taken = await browser.post(f"{groups}/import", data={"text": table, "take": "true"})
    assert taken.url.path == groups
    assert "1 group added." in taken.text
    assert await groups_of(database) == {*desk.groups, late.id}


async def test_a_list_can_be_the_beginning_of_a_campaign(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    form = await browser.get("/campaigns/new")
    link = re.search(r'href="(/campaigns/new/import[?]draft=([^"]+))"', form.text)
    assert link is not None
    assert (await browser.get(link[1])).status_code == 200
    data = {"draft": link[2], "text": "Pottery\nYoga <b>\n"}
    seen = await browser.post("/campaigns/new/import", data=data)
    assert "Add 2 groups" in words(seen)
    nameless = await browser.post("/campaigns/new/import", data=data | {"take": "true"})
    assert nameless.status_code == 422
    assert "These groups cannot be added" in words(nameless)
    assert await count(database) == 0

    named = data | {"take": "true", "name": "Spring"}
    for added in ("2 groups added.", "0 groups added."):
        taken = await browser.post("/campaigns/new/import", data=named)
        assert taken.url.path.endswith("/edit/groups")
        assert added in taken.text
    assert await count(database) == 1
    assert await groups_of(database) == set(desk.groups)


async def test_a_scheduled_campaign_gets_messages_for_what_it_can_write_to(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    check = await plan(browser, desk, when="later", at="2026-12-24T18:30")
    await browser.post(check.replace("check", "groups"), data=one_group(desk))
    await start(browser, check)
    here = check.replace("check", "groups/import")
    refused = await browser.post(here, data={"text": "Strangers", "take": "true"})
    assert refused.status_code == 422
    assert "Strangers" in words(refused)
    await browser.post(here, data={"text": "Yoga <b>", "take": "true"})
    campaign = (await campaign_id(database))["id"]
    async with database.reading() as session:
        message = ScheduledWhatsappMessage
        rows = await session.execute(select(message.group_id, message.campaign_id))
        assert {row[0] for row in rows if str(row[1]) == campaign} == set(desk.groups)


def one_group(desk: Desk) -> dict[str, str]:
    return {"name": "Spring", "groups": str(desk.groups[0])}


async def test_a_table_that_is_none_says_why(desk: Desk, browser: httpx.AsyncClient) -> None:
    here = (await plan(browser, desk)).replace("check", "groups/import")
    for data, why in (
        ({}, "There is nothing in it."),
        ({"text": "group,group\nPottery,Yoga\n"}, "is there twice"),
    ):
        page = await browser.post(here, data=data)
        assert page.status_code == 422
        assert "This table cannot be read" in words(page)
        assert why in words(page)
