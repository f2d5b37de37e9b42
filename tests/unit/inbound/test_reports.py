"""Reports are read tolerantly; a repetition is known as one, and two events are never one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.inbound.reports import read_envelope, read_report, read_time

NOW = datetime(2026, 3, 1, 19, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def test_the_same_timed_report_is_a_repetition() -> None:
    body = {"sessionId": "wa_1", "status": "connected", "timestamp": NOW.isoformat()}
    first = read_report("status", body, received_at=NOW)
    again = read_report("status", dict(reversed(body.items())), received_at=LATER)
    assert first.content_hash == again.content_hash


def test_the_same_words_without_a_time_are_another_report_later() -> None:
    body = {"sessionId": "wa_1", "status": "connected"}
    first = read_report("status", body, received_at=NOW)
    assert first.content_hash != read_report("status", body, received_at=LATER).content_hash
    assert first.content_hash != read_report("reaction", body, received_at=NOW).content_hash


def test_an_envelope_is_known_by_its_id() -> None:
    envelope: dict[str, Any] = {"id": "evt_1", "type": "status", "data": {"sessionId": "wa_1"}}
    first = read_envelope(envelope, received_at=NOW)
    assert first.kind == "status"
    assert first.content_hash == read_envelope(envelope, received_at=LATER).content_hash
    other = read_envelope(envelope | {"id": "evt_2"}, received_at=NOW)
    assert first.content_hash != other.content_hash


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T18:00:00Z",
        "2026-03-01T23:30:00+05:30",
        "2026-03-01T18:00:00",
        1772388000,
        1772388000000,
        "1772388000",
    ],
)
def test_times_are_understood_in_every_usual_form(value: object) -> None:
    assert read_time(value, NOW) == NOW - timedelta(hours=1)


@pytest.mark.parametrize("value", [None, "", "soon", True, -5, 10**40, float("nan"), {}, "0001"])
def test_what_cannot_be_a_time_is_none(value: object) -> None:
    assert read_time(value, NOW) is None


def test_a_clock_that_runs_ahead_does_not_make_its_report_the_newest_for_ever() -> None:
    assert read_time("2031-01-01T00:00:00Z", NOW) == NOW


@given(st.dictionaries(st.text(), json_values))
def test_no_json_object_is_too_odd_to_be_stored(envelope: dict[str, Any]) -> None:
    report = read_envelope(envelope, received_at=NOW)
    assert len(report.content_hash) == 64
    assert report.occurred_at is None or report.occurred_at <= NOW
