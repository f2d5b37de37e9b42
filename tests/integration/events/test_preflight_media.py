"""Media when an event is looked at: what has become of it, and where its address leads by then."""

from collections.abc import AsyncIterator

import pytest
from tests.integration.events.studio import PERSON, STARTS, Studio
from tests.integration.events.test_preflight import scheduled, until
from tests.integration.events.test_run import change
from tests.support.app import open_test_runtime, running_app
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.media import HERE, MediaServer, Names, media_server, only

from groupline.db import Database
from groupline.events.preflight_run import Preflights
from groupline.events.preflight_store import AHEAD, last_looks
from groupline.messages.media import PUBLIC, PUBLIC_OR_PRIVATE, MediaPolicy
from groupline.models import Template
from groupline.orgs.rules import Scope

ELSEWHERE = "127.0.0.2"
PRIVATE = "“Reminder”: The media address leads into a private network."
GONE = "“Reminder”: The media address is answered with 410."


@pytest.fixture
async def server() -> AsyncIterator[MediaServer]:
    async with media_server() as running:
        yield running


class Lecture:
    """The studio with media in its template."""

    def __init__(self, database: Database, studio: Studio, clock: ManualClock) -> None:
        self.database, self.studio, self.clock = database, studio, clock

    async def shows(self, url: str) -> None:
        media = {"media_url": url, "media_type": "image"}
        await change(self.database, Template, self.studio.template_id, **media)

    async def unfit(self, policy: MediaPolicy) -> list[str]:
        """What a look finds about its media."""
        preflights = Preflights(self.database, self.clock, policy)
        studio = self.studio
        looked = await preflights.look(studio.organization_id, studio.event_id, actor=PERSON)
        return [each.sentence for each in looked.findings if each.code == "media"]


@pytest.fixture
async def lecture(database: Database, studio: Studio, clock: ManualClock) -> Lecture:
    await scheduled(database, studio)
    return Lecture(database, studio, clock)


async def test_media_is_looked_at_once_for_all_steps_and_where_it_may_lie(
    lecture: Lecture, server: MediaServer
) -> None:
    await lecture.shows(f"{server.url}/file.png")
    assert await lecture.unfit(only(HERE)) == []
    assert server.requests == ["/file.png"]


async def test_media_that_has_gone_is_found(lecture: Lecture, server: MediaServer) -> None:
    await lecture.shows(f"{server.url}/gone")
    assert await lecture.unfit(only(HERE)) == [GONE]


@pytest.mark.parametrize("host", [HERE, "localhost", "[::ffff:127.0.0.1]"])
async def test_a_private_address_is_refused(
    lecture: Lecture, server: MediaServer, host: str
) -> None:
    await lecture.shows(f"http://{host}:{server.port}/file.png")
    assert await lecture.unfit(PUBLIC) == [PRIVATE]
    assert server.requests == []


async def test_a_name_that_was_public_and_leads_inside_by_now_is_refused(
    lecture: Lecture, server: MediaServer
) -> None:
    names = Names({"turning.test": [[HERE], [ELSEWHERE]]})
    policy = only(HERE, resolve=names)
    await lecture.shows(f"http://turning.test:{server.port}/file.png")
    assert await lecture.unfit(policy) == []
    assert await lecture.unfit(policy) == [PRIVATE]
    assert server.requests == ["/file.png"]


async def test_a_redirect_inside_is_refused(lecture: Lecture, server: MediaServer) -> None:
    async with media_server(ELSEWHERE) as inside:
        await lecture.shows(f"{server.url}/moved?to={inside.url}/file.png")
        assert await lecture.unfit(only(HERE)) == [PRIVATE]
    assert len(server.requests) == 1
    assert inside.requests == []


@pytest.mark.parametrize(
    ("policy", "found"), [(PUBLIC, {PRIVATE}), (PUBLIC_OR_PRIVATE, set())], ids=["public", "own"]
)
async def test_the_workers_look_goes_by_the_same_policy(
    lecture: Lecture, server: MediaServer, policy: MediaPolicy, found: set[str]
) -> None:
    await lecture.shows(f"{server.url}/file.png")
    until(lecture.clock, STARTS - min(AHEAD.values()))
    assert await Preflights(lecture.database, lecture.clock, policy).run_once()
    async with lecture.database.reading() as session:
        stored = (
            await last_looks(session, lecture.studio.organization_id, [lecture.studio.event_id])
        ).get(lecture.studio.event_id)
    assert stored is not None
    assert {each.sentence for each in stored.findings if each.code == "media"} == found


@pytest.mark.parametrize(("allowed", "found"), [(False, [PRIVATE]), (True, [])])
async def test_what_the_installation_allows_counts_for_a_look_over_the_api(
    lecture: Lecture, cast: Cast, server: MediaServer, *, allowed: bool, found: list[str]
) -> None:
    await lecture.shows(f"{server.url}/file.png")
    async with (
        open_test_runtime(lecture.database, lecture.clock, media_allow_private=allowed) as runtime,
        running_app(runtime) as app,
        await app.client_of(cast.owner, Scope.WRITE) as client,
    ):
        answer = await client.post(f"/api/v1/workshops/{lecture.studio.event_id}/preflight")
    assert answer.status_code == 200, answer.text
    findings = answer.json()["findings"]
    assert [each["sentence"] for each in findings if each["code"] == "media"] == found
