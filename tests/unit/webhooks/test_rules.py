"""Events, pauses and addresses of webhooks."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOW

from groupline.errors import InvalidInput
from groupline.net import is_public, is_public_or_private
from groupline.webhooks.rules import (
    EVENT_TYPES,
    LEASE,
    PAUSES,
    Delivered,
    NotDelivered,
    actions_for,
    check_event_types,
    check_url,
    event_type_of,
    judge,
    new_secret,
    next_attempt,
)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_each_event_is_made_of_an_action_that_is_read_for_it(event_type: str) -> None:
    assert event_type in actions_for([event_type])
    assert event_type_of(event_type, {"status": event_type.partition(".")[2]}) == event_type


def test_only_what_somebody_wants_is_read() -> None:
    assert actions_for([]) == frozenset()
    assert actions_for(["groups.synced"]) == {"groups.synced"}
    assert "message.resolved" in actions_for(["message.failed"])


@pytest.mark.parametrize("action", ["message.requeued", "message.sent_by_pigeon", "session.ended"])
def test_other_entries_are_no_event(action: str) -> None:
    assert event_type_of(action, {"status": "sent"}) is None


def test_attempts_are_made_for_a_day() -> None:
    assert timedelta(hours=20) < sum(PAUSES, timedelta()) < timedelta(hours=26)


@given(st.integers(1, len(PAUSES)), st.floats(0, 1))
def test_a_pause_is_never_shorter_than_it_says(attempts: int, chance: float) -> None:
    again = next_attempt(attempts, NOW, chance)
    assert again is not None
    assert PAUSES[attempts - 1] <= again - NOW <= PAUSES[attempts - 1] * 1.1


def test_after_the_last_pause_it_is_given_up() -> None:
    assert next_attempt(len(PAUSES) + 1, NOW, 0.5) is None


def test_a_lease_outlasts_an_attempt() -> None:
    assert timedelta(seconds=15) < LEASE


@given(st.integers(100, 599))
def test_only_2xx_is_delivered(status: int) -> None:
    outcome = judge(status)
    assert isinstance(outcome, Delivered) == (200 <= status <= 299)
    assert isinstance(outcome, NotDelivered) != (200 <= status <= 299)
    assert (isinstance(outcome, NotDelivered) and outcome.gone) == (status == 410)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "file:///etc/passwd",
        "https://",
        "http://a b/",
        "https://user@example.com/",
        "https://example.com:0/",
        "https://example.com/#part",
        "http://[::1",
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "http://[::ffff:10.1.2.3]/",
        "http://[64:ff9b::a01:203]/",
        "http://169.254.169.254/",
    ],
)
def test_an_address_that_cannot_or_must_not_be_called_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_url(url, is_public)
    assert list(refused.value.fields) == ["url"]


def test_a_private_network_may_be_allowed_but_never_what_a_cloud_keeps_there() -> None:
    assert check_url(" http://127.0.0.1:8080/x ", is_public_or_private)
    with pytest.raises(InvalidInput):
        check_url("http://169.254.169.254/latest", is_public_or_private)


def test_event_types_are_known_and_in_order() -> None:
    assert check_event_types(["message.sent", "number.connected"]) == [
        "number.connected",
        "message.sent",
    ]
    for wrong in ([], ["message.sent", "message.lost"]):
        with pytest.raises(InvalidInput):
            check_event_types(wrong)


def test_secrets_differ() -> None:
    assert new_secret() != new_secret()
