"""A phone comes back under a new session: everything of its number goes on without a click."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.api import STUDIO, Api, Simulator, pair, sendable_groups, sync, until
from tests.support.processes import Installation

pytestmark = pytest.mark.e2e

Json = Any


class Evening:
    """A workshop, a webinar, a campaign under way and a message to come, all of one number."""

    def __init__(self, api: Api, number_id: str) -> None:
        self.api = api
        groups = [group["id"] for group in sendable_groups(api, number_id)]
        soon = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
        sequence_id = self._sequence()
        self.events = [
            self._event(kind, number_id, sequence_id, groups[:5], soon)
            for kind in ("workshops", "webinars")
        ]
        self._schedule(number_id, groups[5], soon)
        self.campaign = self._campaign(number_id, groups)
        self.expected = Counter(
            {"The workshop starts": 5, "The webinar starts": 5, "On its own": 1}
        ) + Counter({"News": len(groups)})

    def _sequence(self) -> str:
        text = {"name": "Start", "content": "{event_title} starts"}
        template = self.api.post("/templates", text, expect=201)
        steps = [{"templateId": template["id"], "offsetMinutes": 0}]
        made = self.api.post("/sequences", {"name": "Start only", "steps": steps}, expect=201)
        return str(made["id"])

    def _event(
        self, kind: str, number_id: str, sequence_id: str, groups: list[str], at: str
    ) -> str:
        body = {
            "title": f"The {kind[:-1]}",
            "startsAt": at,
            "numberId": number_id,
            "sequenceId": sequence_id,
            "groupIds": groups,
        }
        path = f"/{kind}/{self.api.post(f'/{kind}', body, expect=201)['id']}"
        assert self.api.post(f"{path}/run-sequence")["scheduled"] == len(groups)
        return path

    def _schedule(self, number_id: str, group: str, at: str) -> None:
        body = {"numberId": number_id, "groupIds": [group], "content": "On its own"}
        self.api.post("/messages", body | {"scheduledFor": at}, expect=201)

    def _campaign(self, number_id: str, groups: list[str]) -> str:
        body = {"name": "News", "numberId": number_id, "groupIds": groups, "content": "News"}
        made = self.api.post("/campaigns", body | {"delaySeconds": 1, "start": True}, expect=201)
        return f"/campaigns/{made['id']}"

    def sent_of_campaign(self) -> int:
        return int(self.api.get(self.campaign)["counts"].get("sent", 0))

    def is_over(self) -> bool:
        done = self.api.get(self.campaign)["status"] == "completed"
        return done and all(self.api.get(path)["counts"].get("sent") == 5 for path in self.events)


@pytest.mark.parametrize("unlinked_first", [True, False], ids=["removed", "linked twice"])
def test_the_work_of_a_number_follows_it_to_a_new_session(
    place: Installation, *, unlinked_first: bool
) -> None:
    place.settings |= {"GROUPLINE_PACE_SECONDS": "0", "GROUPLINE_VERIFY_SECONDS": "2"}
    place.up()
    api, simulator = place.new_organization(), place.simulator()
    old, _ = pair(api, simulator)
    number_id = old["numberId"]
    sync(api, number_id)
    evening = Evening(api, number_id)
    until("the campaign is under way", lambda: evening.sent_of_campaign() >= 2)

    if unlinked_first:
        _unlink(api, simulator, number_id)
    new, _ = pair(api, simulator)

    _assert_taken_over(api, old, new)
    until("everything has left", evening.is_over)
    assert Counter(row["text"] for row in simulator.deliveries()) == evening.expected
    assert _sessions_that_sent(simulator, "The workshop starts") == {f"wa_{new['id']}"}
    until("the old pairing is gone", lambda: _is_gone(simulator, old["id"]))


def _unlink(api: Api, simulator: Simulator, number_id: str) -> None:
    simulator.post(f"/sim/phones/{STUDIO}/unlink")
    until(
        "the number is disconnected",
        lambda: api.get(f"/numbers/{number_id}")["state"] == "disconnected",
    )


def _assert_taken_over(api: Api, old: Json, new: Json) -> None:
    assert new["numberId"] == old["numberId"]
    moved = api.get(f"/sessions/{new['id']}")["migration"]
    assert (moved["workshops"], moved["webinars"], moved["campaigns"]) == (1, 1, 1)
    assert moved["groups"] == 27
    assert moved["messages"] >= 11
    replaced = api.get(f"/sessions/{old['id']}")
    assert replaced["status"] == "disconnected"
    assert replaced["numberId"] == old["numberId"]


def _sessions_that_sent(simulator: Simulator, text: str) -> set[str]:
    return {row["sessionId"] for row in simulator.deliveries() if row["text"] == text}


def _is_gone(simulator: Simulator, session_id: str) -> bool:
    rows = simulator.get("/sim/sessions")["sessions"]
    return all(
        row["status"] != "connected" for row in rows if row["sessionId"] == f"wa_{session_id}"
    )
