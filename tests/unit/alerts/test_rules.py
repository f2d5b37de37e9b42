"""When alerts are due, what they say, and what is shown of an address."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOW

from groupline.alerts import texts
from groupline.alerts.channels import _without_secrets, check_channel_url, shown
from groupline.alerts.rules import (
    ALERT_KINDS,
    KIND_WORDS,
    LEASE,
    PAUSES,
    WINDOW,
    check_kinds,
    due_of_window,
    next_attempt,
    wants,
    window_of,
)
from groupline.alerts.send import SECONDS
from groupline.errors import InvalidInput
from groupline.net import is_public, is_public_or_private

ZONE = ZoneInfo("Asia/Kolkata")
AGES = st.timedeltas(timedelta(), timedelta(days=2))


def test_every_kind_has_its_words() -> None:
    assert set(KIND_WORDS) == set(ALERT_KINDS)


def test_good_news_goes_to_whoever_was_told_the_bad() -> None:
    assert wants(["number.disconnected"], "number.connected")
    assert not wants(["message.failed"], "number.connected")
    assert wants(["gateway.unreachable"], "gateway.reachable")


@given(AGES)
def test_what_is_counted_is_always_counted_in_an_alert_that_is_still_to_come(
    age: timedelta,
) -> None:
    start = window_of(NOW - age, NOW)
    assert start <= NOW < start + WINDOW
    assert due_of_window("message.failed", start) > NOW


def test_a_lease_outlasts_an_attempt() -> None:
    assert timedelta(seconds=SECONDS) < LEASE


def test_an_alert_is_given_up_within_hours() -> None:
    assert sum(PAUSES, timedelta()) < timedelta(hours=6)
    assert next_attempt(len(PAUSES), NOW, 0) == NOW + PAUSES[-1]
    assert next_attempt(len(PAUSES) + 1, NOW, 0) is None


def test_kinds_are_known() -> None:
    assert check_kinds(["message.failed", "number.disconnected"]) == [
        "number.disconnected",
        "message.failed",
    ]
    for wrong in ([], ["number.tired"]):
        with pytest.raises(InvalidInput):
            check_kinds(wrong)


@pytest.mark.parametrize(
    ("due", "first", "said"),
    [
        (0, None, "No message is due in the next 2 hours."),
        (
            1,
            NOW + timedelta(hours=1),
            "1 message is due in the next 2 hours; the first is due Mon 02 Mar, 18:30 IST.",
        ),
        (
            1200,
            NOW - timedelta(hours=1),
            "1,200 messages are due in the next 2 hours; the first was due Mon 02 Mar, 16:30 IST.",
        ),
    ],
)
def test_the_impact_is_one_sentence(due: int, first: datetime | None, said: str) -> None:
    assert texts.impact(due, 2, first, ZONE, NOW) == said


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=5), "1 minute"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(hours=5), "5 hours"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_how_long_something_lasted(span: timedelta, said: str) -> None:
    assert texts.lasting(span) == said


@pytest.mark.parametrize("data", [{}, {"findings": "x"}, {"findings": [1, None, {}]}])
def test_findings_that_cannot_be_read_still_make_an_alert(data: dict[str, object]) -> None:
    said = texts.preflight("Yoga", data, None)
    assert (said.title, said.text) == ("“Yoga” is not ready", "Preflight found something.")


def test_many_findings_are_cut_and_counted() -> None:
    data = {"findings": [f"Finding {n}." for n in range(8)]}
    assert texts.preflight("Yoga", data, None).text.endswith("Finding 4. And 3 more.")


def test_what_keeps_an_event_from_working_comes_before_warnings() -> None:
    warning = {"severity": "warning", "sentence": "An older text."}
    problem = {"severity": "problem", "sentence": "No number."}
    said = texts.preflight("Yoga", {"findings": [warning, problem]}, None)
    assert said.text == "No number. An older text."


@pytest.mark.parametrize(
    ("url", "service", "masked"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops", "Slack", "slack://…"),
        ("jsons://hooks.example.com/secret/path?+Key=abc", "JSON", "jsons://hooks.example.com/…"),
        (
            "mailtos://team:secret1@example.com?smtp=mail.example.org&to=a@b.co",
            "E-Mail",
            "mailtos://mail.example.org/…",
        ),
        ("nothing://at-all/secret", "Unknown service", "nothing://…"),
    ],
)
def test_what_is_shown_of_an_address_holds_no_secret(url: str, service: str, masked: str) -> None:
    found = shown(url)
    assert (found.service, found.masked) == (service, masked)
    assert "secret" not in found.masked


@pytest.mark.parametrize("parameter", ["template", "pgpkey", "keyfile", "retry", "redirect"])
def test_parameters_that_would_undo_our_limits_are_refused(parameter: str) -> None:
    with pytest.raises(InvalidInput, match=parameter):
        check_channel_url(f"jsons://example.com/?{parameter}=/etc/passwd", is_public)


def test_a_private_server_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(InvalidInput, match="private network"):
        check_channel_url("json://192.168.1.5/x", is_public)
    assert check_channel_url("json://192.168.1.5/x", is_public_or_private)
    with pytest.raises(InvalidInput, match="private network"):
        check_channel_url("json://169.254.169.254/x", is_public_or_private)


def test_a_complaint_of_the_library_is_shown_without_the_address() -> None:
    url = "tgram://123456789:abcdefghijklmnop/12315544"
    complaint = "Failed: https://api/bot123456789:abcdefghijklmnop/ said no, error=401."
    said = _without_secrets(complaint, url, "Telegram")
    assert "abcdefghijklmnop" not in said
    assert "123456789" not in said
    assert said.endswith("said no, error=401.")
    assert _without_secrets(None, url, "Telegram") == "Telegram did not take it."


def test_moments_name_the_zone() -> None:
    assert texts.moment(datetime(2026, 3, 2, 12, tzinfo=UTC), ZONE) == "Mon 02 Mar, 17:30 IST"


def test_what_came_too_late_is_looked_at_in_the_list_of_expired_messages() -> None:
    said = texts.messages("message.expired", "+91 98765 43210", 2, None, "one")
    assert said.link == "/messages?tab=expired&number=one"
