"""Campaigns from the command line, on a Groupline that runs and sends."""

from pathlib import Path
from typing import Any

import pytest
from tests.browser.house import open_house
from tests.support.api import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

ORG = ("--org", "morning-workshops")


def test_a_campaign_is_followed_and_steered_from_the_command_line(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        api, run = house.api, house.place.run
        refusal = {"kind": "error", "route": "send", "httpStatus": 400, "times": 1}
        # Nothing else leaves while it is steered, however long that takes.
        rush = {"kind": "rate_limited", "route": "send", "retryAfter": 1}
        for fault in (refusal, rush):
            house.simulator.post("/sim/faults", fault, expect=201)
        made = api.post(
            "/campaigns",
            {
                "name": "Spring",
                "numberId": house.number_id,
                "groupIds": [each["id"] for each in house.groups[:3]],
                "content": "Hello {group_name}",
                "delaySeconds": 0,
                "start": True,
            },
            expect=201,
        )

        def counts() -> Any:
            return api.get(f"/campaigns/{made['id']}")["counts"]

        until("one is refused", lambda: counts().get("failed") == 1)
        named = (made["id"], *ORG, "--json")
        assert run("campaigns", "pause", *named).json["status"] == "paused"
        assert " a minute" not in run("campaigns", "show", made["id"], *ORG).out, "it stands still"
        again = run("campaigns", "pause", made["id"], *ORG)
        assert (again.code, again.err.count("\n")) == (1, 1)
        assert "cannot be paused" in again.err
        assert run("campaigns", "resume", *named).json["status"] == "sending"
        assert not counts().get("sent")
        house.simulator.call("DELETE", "/sim/faults")

        def ended() -> Any:
            return api.get(f"/campaigns/{made['id']}")["finishedAt"]

        until("the campaign has ended", ended)
        listed = run("campaigns", "list", *ORG, "--status", "partial_failure", "--json").json
        assert [each["id"] for each in listed] == [made["id"]]
        assert listed[0]["counts"]["failed"] == 1
        assert "2 of 3" in run("campaigns", "list", *ORG).out
        wrong = run("campaigns", "list", *ORG, "--status", "nonsense")
        assert wrong.code == 2
        retried = run("campaigns", "retry-failed", *named).json
        assert (retried["requeued"], retried["refused"]) == (1, [])
        until(
            "the campaign is completed", lambda: api.get(f"/campaigns/{made['id']}")["finishedAt"]
        )
        shown = run("campaigns", "show", made["id"], *ORG).out
        assert "completed" in shown
        assert "3 sent" in shown
        assert " a minute" not in shown, "nothing is left"
        refused = run("campaigns", "cancel", made["id"], *ORG)
        assert "A campaign that is completed cannot be cancelled." in refused.err
