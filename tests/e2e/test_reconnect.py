"""A phone comes back under a new session: everything of its number goes on without a click."""

from collections import Counter

import pytest
from tests.support.api import STUDIO, Api, Simulator, pair, sync, until
from tests.support.evening import Evening, Json
from tests.support.processes import Installation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


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
    evening = Evening(place, api, number_id)
    until("the campaign is under way", lambda: evening.sent_of_campaign() >= 2)

    if unlinked_first:
        _unlink(api, simulator, number_id)
    new, _ = pair(api, simulator)

    _assert_taken_over(api, old, new)
    evening.comes()
    evening.ends()
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
