"""What is said of a message that waits: what stands in its way longest."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.clock import NOW

from groupline.ids import new_id
from groupline.messages.schemas import MessageView
from groupline.messages.shown import shown
from groupline.messages.waiting import Lane

AGAIN = NOW + timedelta(seconds=30)
TRIED = "The gateway could not send the message. It is tried again shortly."
FREE = Lane(is_connected=True, gateway_name="Own")


def refused_twice(**facts: Any) -> MessageView:
    """It waits for its third attempt."""
    known: dict[str, Any] = dict.fromkeys(MessageView.__dataclass_fields__)
    known |= {
        "id": new_id(),
        "status": "pending",
        "scheduled_for": NOW - timedelta(minutes=1),
        "error_message": "The gateway could not send the message.",
        "next_attempt_at": AGAIN,
    }
    return MessageView(**(known | facts))


@pytest.mark.parametrize(
    ("lane", "campaign", "sentence"),
    [
        ({"paused_at": NOW}, None, "The number is paused since"),
        ({"is_connected": False}, None, "The number is not connected."),
        ({"gateway_enabled": False}, None, "The number's gateway is switched off."),
        ({"gateway_down": True}, None, "The gateway “Own” cannot be reached."),
        ({"is_worked": False}, None, "No worker is running"),
        ({}, "paused", "Its campaign is paused."),
    ],
)
def test_what_nobody_knows_the_end_of_is_said_before_the_next_attempt(
    lane: dict[str, Any], campaign: str | None, sentence: str
) -> None:
    seen = shown(refused_twice(campaign_status=campaign), replace(FREE, **lane), NOW)
    assert seen.sentence.startswith(sentence)
    assert seen.next_attempt_at is None


def test_a_gateway_that_refuses_everything_is_said_before_the_next_attempt() -> None:
    soon = NOW + timedelta(seconds=5)
    lane = replace(FREE, free_at=soon, hold_reason="gateway_refuses")
    seen = shown(refused_twice(), lane, NOW)
    assert seen.sentence.startswith("The gateway refuses Groupline's requests")
    assert seen.next_attempt_at == AGAIN


@pytest.mark.parametrize(("seconds", "sentence"), [(20, TRIED), (90, "The gateway asked to send")])
def test_of_two_waits_with_an_end_the_longer_one_is_said(seconds: int, sentence: str) -> None:
    end = NOW + timedelta(seconds=seconds)
    held = replace(FREE, free_at=end, hold_reason="rate_limited")
    seen = shown(refused_twice(), held, NOW)
    assert seen.sentence.startswith(sentence)
    assert seen.next_attempt_at == max(end, AGAIN)


def test_a_free_lane_leaves_the_next_attempt() -> None:
    for lane in (FREE, None):
        seen = shown(refused_twice(), lane, NOW)
        assert (seen.sentence, seen.next_attempt_at) == (TRIED, AGAIN)
    over = shown(refused_twice(), FREE, AGAIN)
    assert (over.sentence, over.next_attempt_at) == ("Other messages of the number go first.", None)
