"""Web and worker as processes of their own, on PostgreSQL, with a gateway beside them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.api import Api, Simulator, pair, send, sendable_groups, sync
from tests.support.databases import Postgres
from tests.support.gateway import API_KEY, WEBHOOK_SECRET
from tests.support.processes import Installation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture
def postgresql(place: Installation, postgres: Postgres) -> Iterator[Installation]:
    """The installation on an empty database of a PostgreSQL server."""
    with postgres.empty() as url:
        place.settings["GROUPLINE_DATABASE_URL"] = url
        yield place
        place.clear_away()  # before the database is dropped


def test_what_one_process_is_told_another_one_sends_and_all_hear_of_it(
    postgresql: Installation,
) -> None:
    place = postgresql
    assert place.run("db", "upgrade").code == 0
    simulator = _gateway(place)
    web, worker = place.start("web"), place.start("worker")
    place.wait_until_served(web)
    api = place.new_organization()
    session, _ = pair(api, simulator)
    assert sync(api, session["numberId"])["savedCount"] == 27
    group = sendable_groups(api, session["numberId"])[0]

    with _stream(api) as topics:
        (asked,) = send(api, session["numberId"], [group["id"]], "through two processes")
        told = (api.get(f"/messages/{asked['id']}") for topic in topics if topic == "messages")
        assert any(message["status"] == "sent" for message in told)
    (arrived,) = simulator.deliveries()
    assert arrived["text"] == "through two processes"
    assert (worker.terminate(), web.terminate()) == (0, 0)


def _gateway(place: Installation) -> Simulator:
    """A gateway as somebody else's process, registered by hand."""
    url = f"http://127.0.0.1:{place.gateway_port}"
    add = ("gateways", "add", "--name", "Simulated", "--url", url, "--key", API_KEY)
    added = place.run(*add, "--webhook-secret", WEBHOOK_SECRET, "--json").json
    process = place.start(
        "gateway",
        GROUPLINE_GATEWAY_PORT=str(place.gateway_port),
        GROUPLINE_GATEWAY_DATA_DIR=str(place.home / "gateway"),
        GROUPLINE_GATEWAY_API_KEY=API_KEY,
        GROUPLINE_GATEWAY_WEBHOOK_URL=added["webhookUrl"],
        GROUPLINE_GATEWAY_WEBHOOK_SECRET=WEBHOOK_SECRET,
    )
    place.wait_for_gateway(process)
    return place.stack.enter_context(Simulator(url, API_KEY))


@contextmanager
def _stream(api: Api) -> Iterator[Iterator[str]]:
    """What the stream of events names from now on. Hearing nothing for long is an error."""
    with api.http.stream("GET", "/events") as response:
        lines = response.iter_lines()
        assert next(lines).startswith("retry:")
        yield (json.loads(line[5:])["topic"] for line in lines if line.startswith("data:"))
