"""Tables in the dashboard: looked at first, then taken, all or nothing."""

import httpx
import pytest
from sqlalchemy import select
from tests.integration.events.studio import Studio, make_member_group
from tests.integration.events.test_pages import browser, groups_of, url, words
from tests.support.factories import make_group, make_number

from groupline.db import Database
from groupline.models import Event, EventGroup, EventVariable

__all__ = ["browser"]

EVENTS = """title;starts;number;sequence;groups;zoom_link
Glazing;2026-03-08 19:00;{phone};Reminders;Group 0|Group 1;https://example.org/g
Firing;2026-03-09 19:00;;;;
"""


async def titles(database: Database) -> list[str]:
    async with database.reading() as session:
        return sorted(await session.scalars(select(Event.title)))


async def phone_of(database: Database, studio: Studio) -> str:
    from groupline.models import WhatsappNumber

    async with database.reading() as session:
        number = await session.get(WhatsappNumber, studio.number_id)
    assert number is not None
    return f"+{number.phone_number}"


async def test_events_of_a_file_are_shown_and_then_planned_with_groups_and_values(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    table = EVENTS.format(phone=await phone_of(database, studio))
    files = {"file": ("plan.csv", b"\xef\xbb\xbf" + table.encode(), "text/csv")}
    page = await browser.post("/workshops/import", files=files)
    assert "Nothing has been saved yet." in words(page)
    assert "Glazing" in words(page)
    assert await titles(database) == ["Pottery"]

    taken = await browser.post("/workshops/import", data={"text": table, "take": "true"})
    assert "2 workshops planned." in taken.text
    assert await titles(database) == ["Firing", "Glazing", "Pottery"]
    async with database.reading() as session:
        glazing = (await session.scalars(select(Event).where(Event.title == "Glazing"))).one()
        groups = select(EventGroup.group_id).where(EventGroup.event_id == glazing.id)
        values = select(EventVariable.value).where(EventVariable.event_id == glazing.id)
        assert set(await session.scalars(groups)) == set(studio.group_ids[:2])
        assert list(await session.scalars(values)) == ["https://example.org/g"]


async def test_of_groups_with_one_name_the_one_of_the_number_is_meant(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        other = await make_number(session, organization_id=studio.organization_id)
        twin = await make_member_group(session, studio.organization_id, other.id, "Group 0")
    table = "title,starts,number,groups\nGlazing {0},2026-03-08 19:00,{0},Group 0\n"
    numbers = {await phone_of(database, studio): studio.group_ids[0], other.phone_number: twin}
    for phone, group in numbers.items():
        data = {"text": table.format(phone), "take": "true"}
        assert "1 workshop planned." in (await browser.post("/workshops/import", data=data)).text
        async with database.reading() as session:
            newest = select(EventGroup.group_id).order_by(EventGroup.id.desc()).limit(1)
            assert await session.scalar(newest) == group
    page = await browser.post("/workshops/import", data={"text": table.format("")})
    assert "2 groups are called “Group 0”" in words(page)


async def test_what_is_there_already_is_left_out_unless_it_is_wanted_once_more(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    table = "title,starts\nGlazing,2026-03-08 19:00\nFiring,2026-03-09 19:00\n"
    await browser.post("/workshops/import", data={"text": table, "take": "true"})
    more = f"{table}Carving,2026-03-10 19:00\nCarving,2026-03-10 19:00\n"

    page = await browser.post("/workshops/import", data={"text": more})
    assert words(page).count("Already there") == 2
    assert "The same as line 4" in words(page)
    assert "Plan 1 new workshop" in words(page)
    taken = await browser.post("/workshops/import", data={"text": more, "take": "true"})
    assert "1 workshop planned. 3 were there already." in taken.text
    assert await titles(database) == ["Carving", "Firing", "Glazing", "Pottery"]

    nothing = await browser.post("/workshops/import", data={"text": more, "take": "true"})
    assert "All of them are there already." in words(nothing)
    assert len(await titles(database)) == 4
    again = {"text": table, "take": "true", "again": "true"}
    assert "2 workshops planned." in (await browser.post("/workshops/import", data=again)).text
    # The same table as webinars is another thing.
    webinars = await browser.post("/webinars/import", data={"text": table})
    assert "Already there" not in words(webinars)


async def test_one_wrong_line_keeps_all_from_being_planned(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    table = "title,starts\nGood,2026-03-08 19:00\nBad,soon\n"
    page = await browser.post("/workshops/import", data={"text": table, "take": "true"})
    assert page.status_code == 422
    assert "Line 3: The start “soon” is no time" in words(page)
    assert await titles(database) == ["Pottery"]
    empty = await browser.post("/workshops/import", data={})
    assert empty.status_code == 422
    assert "There is nothing in it." in words(empty)


async def test_a_list_of_groups_adds_to_those_that_are_there(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        new = await make_group(
            session, organization_id=studio.organization_id, group_name="Late comers"
        )
    table = "group\nlate comers\nGroup 0\nNobody\n"
    page = await browser.post(url(studio, "/groups/import"), data={"text": table})
    assert "Line 4: There is no group “Nobody”." in words(page)
    assert "Add 2 groups" in words(page)
    await browser.post(url(studio, "/groups/import"), data={"text": table, "take": "true"})
    assert await groups_of(database, studio) == {*studio.group_ids, new.id}


async def test_values_fill_the_form_and_come_out_again(
    studio: Studio, browser: httpx.AsyncClient
) -> None:
    table = "name,value\nzoom_link,'=x\nhost,Jo\n"
    page = await browser.post(url(studio, "/variables/import"), data={"text": table})
    assert page.status_code == 200
    assert "Look at the values, then save them" in words(page)
    assert 'name="value:host"' in page.text
    data = {"value:zoom_link": "=x", "value:host": "Jo"}
    await browser.post(url(studio, "/variables"), data=data)
    exported = await browser.get(url(studio, "/variables.csv"))
    assert exported.text == "\ufeffname,value\r\nhost,Jo\r\nzoom_link,'=x\r\n"
    wrong = await browser.post(url(studio, "/variables/import"), data={"text": "name,value\nA,b\n"})
    assert wrong.status_code == 422
    assert "Line 2: “A” is no name for a variable" in words(wrong)


@pytest.mark.parametrize("path", ["/workshops/import", "/webinars/import"])
async def test_the_page_says_what_a_table_has_to_look_like(
    studio: Studio, browser: httpx.AsyncClient, path: str
) -> None:
    assert "Columns: title, starts, ends" in words(await browser.get(path))
