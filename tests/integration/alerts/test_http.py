"""Alert channels over the API and on their pages; alerts on the overview."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from sqlalchemy import update
from tests.integration.alerts.conftest import Desk, channel_url
from tests.support.app import RunningApp, open_test_runtime, running_app
from tests.support.cast import PASSWORD, Cast, Person
from tests.support.factories import make_alert, make_campaign, make_message

from groupline.models import ScheduledWhatsappMessage
from groupline.orgs.rules import Scope

CHANNELS = "/api/v1/alert-channels"
TELEGRAM = "tgram://123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI/12315544"
WANTED = {"name": "On call", "url": TELEGRAM, "kinds": ["number.disconnected"]}


@asynccontextmanager
async def page_client(running: RunningApp, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with running.client(headers={"Sec-Fetch-Site": "same-origin"}) as client:
        await client.post("/login", data={"email": person.email, "password": PASSWORD})
        yield client


async def test_a_channel_is_made_changed_and_removed_and_its_address_never_shown(
    running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.admin, Scope.WRITE) as writer:
        assert (await writer.get(CHANNELS)).status_code == 403
    async with await running.client_of(cast.owner) as client:
        made = await client.post(CHANNELS, json=WANTED)
        assert made.status_code == 201, made.text
        assert (made.json()["service"], made.json()["maskedUrl"]) == ("Telegram", "tgram://…")
        here = f"{CHANNELS}/{made.json()['id']}"
        twice = await client.post(CHANNELS, json=WANTED)
        assert (twice.status_code, twice.json()["state"]) == (409, "name_taken")
        url = "mailtos://team:hunter22@mail.example.com?to=a@example.com"
        changed = await client.patch(here, json={"url": url, "enabled": False})
        assert changed.json()["maskedUrl"] == "mailtos://mail.example.com/…"
        assert changed.json()["enabled"] is False
        listed = await client.get(CHANNELS)
        assert "hunter22" not in changed.text + listed.text
        assert (await client.delete(here)).status_code == 204
        assert (await client.get(here)).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no address",
        "file:///etc/passwd",
        "dbus://",
        "syslog://",
        "windows://",
        "macosx://",
        "mqtt://127.0.0.1/topic",
        "json://127.0.0.1/",
        "jsons://[::1]/",
        "mailtos://user:pass@example.com?smtp=10.0.0.5",
        f"{TELEGRAM}?template=/etc/passwd",
        "jsons://example.com/?redirect=yes",
        "https://example.com/anything",
    ],
)
async def test_a_dangerous_address_is_refused_and_not_repeated(
    running: RunningApp, cast: Cast, url: str
) -> None:
    async with await running.client_of(cast.owner) as client:
        answer = await client.post(CHANNELS, json=WANTED | {"url": url})
    assert answer.status_code == 422
    assert list(answer.json()["fields"]) == ["url"]
    assert not url or url not in answer.text


async def test_a_test_says_at_once_whether_it_arrived(desk: Desk, cast: Cast) -> None:
    channel = await desk.channel()
    async with (
        open_test_runtime(desk.database, desk.clock, outgoing_allow_private=True) as runtime,
        running_app(runtime) as running,
        await running.client_of(cast.owner) as client,
    ):
        here = f"{CHANNELS}/{channel.id}/test"
        assert (await client.post(here)).json() == {"delivered": True, "error": None}
        desk.receiver.status = 500
        failed = (await client.post(here)).json()
        assert failed["delivered"] is False
        assert "500" in failed["error"]
    assert desk.told == ["A test of Groupline"] * 2
    assert (await desk.channel_row(channel.id)).last_error is not None


async def test_the_pages_do_all_of_it_for_admins_only(
    desk: Desk, running: RunningApp, cast: Cast
) -> None:
    async with page_client(running, cast.operator) as client:
        assert (await client.get("/settings/alerts")).status_code == 403
    async with page_client(running, cast.admin) as client:
        assert "Nobody is told yet" in (await client.get("/settings/alerts")).text
        bad = await client.post("/settings/alerts", data={"name": "x", "url": "file:///x"})
        assert bad.status_code == 422
        assert "is not one of a service" in bad.text
        form = {"name": "Team", "url": TELEGRAM, "kinds": ["message.failed"]}
        assert (await client.post("/settings/alerts", data=form)).status_code == 303
        assert "already an alert channel" in (await client.post("/settings/alerts", data=form)).text
        channel = await desk.channel("Second", url=channel_url(desk.receiver))
        here = f"/settings/alerts/{channel.id}"
        assert "127.0.0.1/…" in (await client.get(here)).text
        kept = {"name": "Renamed", "url": "", "kinds": ["message.failed"]}
        assert (await client.post(here, data=kept)).status_code == 303
        row = await desk.channel_row(channel.id)
        assert (row.name, row.url) == ("Renamed", channel.url)
        for step in ("disable", "enable", "test", "remove"):
            assert (await client.post(f"{here}/{step}")).status_code == 303
        assert (await client.get(here)).status_code == 404


async def test_an_alert_stands_on_the_overview_until_it_is_put_away(
    desk: Desk, running: RunningApp, cast: Cast
) -> None:
    async with desk.database.writing() as session:
        alert = await make_alert(
            session,
            organization_id=desk.organization_id,
            kind="gateway.webhooks_refused",
            title="Reports of the gateway “Yoga” are refused",
            text="They are not signed.",
            link="/settings/connection",
            raised_at=desk.clock.now(),
        )
    put_away = f"/settings/alerts/raised/{alert.id}/put-away"
    async with page_client(running, cast.viewer) as viewer:
        page = await viewer.get("/")
        assert "Reports of the gateway “Yoga” are refused" in page.text
        assert put_away not in page.text
        assert (await viewer.post(put_away)).status_code == 403
    async with page_client(running, cast.operator) as operator:
        assert put_away in (await operator.get("/")).text
        assert (await operator.post(put_away)).status_code == 303
        assert "“Yoga”" not in (await operator.get("/")).text


async def test_the_overview_counts_what_is_left_of_an_end_with_failures(
    desk: Desk, running: RunningApp, cast: Cast
) -> None:
    async with desk.database.writing() as session:
        inside = {"organization_id": desk.organization_id}
        campaign = await make_campaign(session, **inside, name="Bad", status="partial_failure")
        of = {**inside, "campaign_id": campaign.id, "number_id": campaign.number_id}
        rows = [
            await make_message(session, **of, status=status)
            for status in ("sent", "failed", "failed", "cancelled")
        ]
    found = {"status": "partial_failure", "counts": {"sent": 1, "failed": 2, "cancelled": 1}}
    await desk.happens("campaign.finished", campaign.id, found)
    await desk.turn()
    for row, said in zip(rows[1:3], ("2 messages of 3", "1 message of 2"), strict=True):
        async with page_client(running, cast.viewer) as viewer:
            assert f"{said} did not arrive." in (await viewer.get("/")).text
        async with desk.database.writing() as session:
            message = ScheduledWhatsappMessage
            await session.execute(
                update(message).where(message.id == row.id).values(status="cancelled")
            )
    async with page_client(running, cast.viewer) as viewer:
        assert "ended with failures" not in (await viewer.get("/")).text
