"""From nothing to a sent message, on the real processes, through the API and the command line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.support.api import (
    STUDIO,
    Api,
    Simulator,
    pair,
    send,
    sendable_groups,
    sync,
    until,
    until_status,
)
from tests.support.processes import Installation, Process, installation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

PASSWORD = "a password typed by a test"
TEXT = "We start in *ten minutes*, says the end-to-end test."
TYPED = "Sent from the command line, says the end-to-end test."


@dataclass(frozen=True)
class Story:
    """What happened, told by those who were asked."""

    place: Installation
    process: Process
    api: Api
    simulator: Simulator
    link: str
    owner: dict[str, Any]
    qr_texts: list[str]
    session: dict[str, Any]
    synced: dict[str, Any]
    message: dict[str, Any]
    typed: dict[str, Any]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("first-light")
    with installation(home, GROUPLINE_LOG_LEVEL="DEBUG") as place:
        yield _first_day(place)


def _first_day(place: Installation) -> Story:
    process = place.up()
    link = place.setup_link(process)
    owner = _set_up(place, link)
    api = place.api_of(owner["organization"]["slug"])
    simulator = place.simulator()
    session, qr_texts = pair(api, simulator)
    synced = sync(api, session["numberId"])
    group = sendable_groups(api, session["numberId"])[0]
    (asked,) = send(api, session["numberId"], [group["id"]], TEXT)
    message = until_status(api, asked["id"])
    words = ("--org", owner["organization"]["slug"], "--number", STUDIO, "--group", group["jid"])
    (typed,) = place.run("send", *words, "--text", TYPED, "--wait", "--json").json
    return Story(
        place, process, api, simulator, link, owner, qr_texts, session, synced, message, typed
    )


def _set_up(place: Installation, link: str) -> dict[str, Any]:
    body = {
        "token": link.rpartition("/")[2],
        "organizationName": "Morning Workshops",
        "name": "Example Owner",
        "email": "owner@example.org",
        "password": PASSWORD,
        "timezone": "Asia/Kolkata",
    }
    answer = httpx.post(f"{place.url}/api/v1/setup", json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_the_setup_link_works_once(story: Story) -> None:
    assert httpx.get(story.link, timeout=60).status_code == 404


def test_the_built_in_gateways_are_reachable(story: Story) -> None:
    def reachable() -> bool:
        listed = story.place.run("gateways", "list", "--json").json
        states = {row["engine"]: row["state"] for row in listed}
        return states == {"simulator": "reachable", "whatsmeow": "reachable"}

    until("both are", reachable)


def test_the_phone_is_connected_on_the_word_of_the_gateway(story: Story) -> None:
    assert story.session["phoneNumber"] == STUDIO
    assert story.session["verifiedAt"] is not None
    assert story.session["statusSource"] in ("poll", "webhook", "verifier")
    path = f"/numbers/{story.session['numberId']}"
    # Each time that its proof is renewed it is "verifying" for a moment.
    until("the number is connected", lambda: story.api.get(path)["state"] == "connected")


def test_the_sync_saved_what_the_phone_has(story: Story) -> None:
    assert story.synced["success"]
    assert (story.synced["vpsCount"], story.synced["savedCount"]) == (27, 27)
    assert story.api.get("/groups?limit=1")["total"] == 27


def test_the_messages_reached_the_group_exactly_once(story: Story) -> None:
    assert story.message["gatewayMessageId"]
    assert (story.message["status"], story.typed["status"]) == ("sent", "sent")
    arrived = {row["messageId"]: row["text"] for row in story.simulator.deliveries()}
    assert arrived[story.message["gatewayMessageId"]] == TEXT
    assert sorted(row["text"] for row in story.simulator.deliveries()) == sorted((TEXT, TYPED))


def test_faults_of_simulated_phones_are_asked_for_with_the_key_of_its_file(story: Story) -> None:
    headers = {"X-API-Key": (story.place.data_dir / "simulator_key").read_text()}
    with httpx.Client(base_url=story.simulator.http.base_url, timeout=60) as client:
        assert client.get("/sim/faults").status_code == 401
        assert client.get("/sim/faults", headers=headers).json() == {"faults": []}


def test_a_command_that_cannot_send_says_why_in_one_line(story: Story) -> None:
    words = ("--org", story.owner["organization"]["slug"], "--text", TYPED, "--group", "x")
    answer = story.place.run("send", "--number", "+91 90000 00000", *words)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "has no number +91 90000 00000" in answer.err


def test_everything_is_ready_and_says_so(story: Story) -> None:
    answer = httpx.get(f"{story.place.url}/readyz", timeout=60)
    assert answer.status_code == 200, answer.text


def test_the_logs_keep_what_is_nobody_elses_business(story: Story) -> None:
    logged = story.process.err
    private = {
        "the password": PASSWORD,
        "the setup token": story.link.rpartition("/")[2],
        "the API key": story.api.http.headers["authorization"].removeprefix("Bearer "),
        "the gateway's key": story.simulator.http.headers["x-api-key"],
        "the secret key": (story.place.data_dir / "secret_key").read_text().strip(),
        "the text": TEXT,
        "the typed text": TYPED,
        "the number": STUDIO,
        **{f"QR code {number}": text for number, text in enumerate(story.qr_texts)},
    }
    assert [name for name, value in private.items() if value in logged] == []
    assert story.qr_texts


def test_every_line_of_the_logs_is_json_and_carries_the_build(story: Story) -> None:
    whole, _, _ = story.process.err.rpartition("\n")  # it goes on writing meanwhile
    lines = [json.loads(line) for line in whole.splitlines()]
    build = story.place.run("version", "--json").json["build"]
    assert all(line["build"] for line in lines)
    assert {line["build"] for line in lines if not line["build"].startswith("gateway")} == {build}
    events = {line["event"] for line in lines}
    assert "gateway.started" in events
    assert "message.sent" in events
    assert "gateway.call_failed" not in events
