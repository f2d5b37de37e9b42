"""Processes end and die: what was promised is kept, and nothing false is said meanwhile."""

import contextlib
import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.api import (
    Api,
    Simulator,
    answers,
    pair,
    send,
    sendable_groups,
    sync,
    until,
    until_status,
)
from tests.support.databases import in_database
from tests.support.processes import Installation, Process

from groupline.models import ScheduledWhatsappMessage as Message

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

TRUE_MEANWHILE = {"gateway_unreachable", "verifying", "connected"}
"""Of a phone that stays linked; "verifying" where the last proof has become old."""


@dataclass
class Working:
    """An installation with a connected phone whose groups are known."""

    place: Installation
    process: Process
    api: Api
    simulator: Simulator
    number_id: str
    group_ids: list[str]

    def number(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/numbers/{self.number_id}")
        return found

    def state(self) -> str:
        return str(self.number()["state"])

    def states_until_connected(self) -> set[str]:
        """What the number was said to be, until it was said to be connected."""
        seen: set[str] = set()

        def connected() -> bool:
            seen.add(self.state())
            return "connected" in seen

        until("the number is connected", connected)
        return seen

    def sessions(self) -> list[tuple[str, str]]:
        listed = self.api.get("/sessions")["items"]
        return [(session["id"], session["status"]) for session in listed]

    def texts(self) -> list[str]:
        return sorted(row["text"] for row in self.simulator.deliveries())


@pytest.fixture
def working(place: Installation) -> Working:
    place.settings |= {"GROUPLINE_PACE_SECONDS": "0", "GROUPLINE_VERIFY_SECONDS": "2"}
    process = place.up()
    api, simulator = place.new_organization(), place.simulator()
    session, _ = pair(api, simulator)
    number_id = session["numberId"]
    sync(api, number_id)
    groups = [group["id"] for group in sendable_groups(api, number_id)]
    return Working(place, process, api, simulator, number_id, groups)


def test_a_stop_finishes_what_is_in_flight_and_a_start_goes_on(working: Working) -> None:
    delay = {"kind": "delay", "route": "send", "times": 1, "seconds": 4}
    fault = working.simulator.post("/sim/faults", delay, expect=201)["id"]
    before = working.sessions()
    (slow,) = send(working.api, working.number_id, working.group_ids[:1], "in flight")
    until("the gateway has the request", lambda: _fired(working.simulator, fault))

    assert working.process.terminate() == 0
    assert working.process.members() == []

    working.process = working.place.up()
    assert working.api.get(f"/messages/{slow['id']}")["status"] == "sent"
    assert working.states_until_connected() <= TRUE_MEANWHILE
    assert working.sessions() == before
    (next_one,) = send(working.api, working.number_id, working.group_ids[1:2], "after the start")
    until_status(working.api, next_one["id"])
    assert working.texts() == ["after the start", "in flight"]


def _fired(simulator: Simulator, fault: int) -> bool:
    """Unlike the state that it keeps a message in, this is still to be seen afterwards."""
    (found,) = (each for each in simulator.get("/sim/faults")["faults"] if each["id"] == fault)
    return bool(found["fired"])


def test_a_killed_main_process_leaves_no_orphan_and_loses_nothing(working: Working) -> None:
    delay = {"kind": "delay", "route": "send", "skip": 1, "times": 1, "seconds": 5}
    fault = working.simulator.post("/sim/faults", delay, expect=201)["id"]
    sent = send(working.api, working.number_id, working.group_ids[:8], "eight groups")
    until("the second is in flight", lambda: _fired(working.simulator, fault))
    working.process.kill()
    until("the gateway has followed its parent", lambda: working.process.members() == [])
    assert not answers(f"http://127.0.0.1:{working.place.gateway_port}/health")
    _let_leases_end(working.place)

    working.process = working.place.up()
    for message in sent:
        until_status(working.api, message["id"])
    assert working.texts() == ["eight groups"] * 8
    assert "disconnected" not in working.states_until_connected()


def _let_leases_end(place: Installation) -> None:
    """Whatever was in flight when all of it died: a minute and a half has passed since."""

    async def write(session: AsyncSession) -> None:
        ago = datetime.now(UTC) - timedelta(seconds=90)
        await session.execute(
            update(Message)
            .where(Message.status == "sending")
            .values(request_started_at=ago, claimed_until=ago + timedelta(seconds=60))
        )

    in_database(place.database_url, write)


def test_a_killed_gateway_is_called_unreachable_and_comes_back_by_itself(
    working: Working,
) -> None:
    before = working.sessions()
    killed = _kill_gateway_until_it_shows(working)
    (asked,) = send(working.api, working.number_id, working.group_ids[:1], "sent in the gap")
    assert working.sessions() == before
    assert working.states_until_connected() <= TRUE_MEANWHILE
    assert set(working.process.children()).isdisjoint(killed)
    until_status(working.api, asked["id"])
    assert working.texts() == ["sent in the gap"]
    assert working.sessions() == before


def _kill_gateway_until_it_shows(working: Working) -> set[int]:
    """Each time its start is put off for longer, so that there is a gap to look at."""
    killed: set[int] = set()

    def shows() -> bool:
        for pid in set(working.process.children()) - killed:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return bool(killed) and working.state() == "gateway_unreachable"

    until("the number says so", shows)
    return killed
