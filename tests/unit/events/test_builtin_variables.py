"""What every event says about itself."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.events.variables import BUILTIN, EventFacts, builtin_values, zone_name
from groupline.messages.variables import fill, is_name

START = datetime(2026, 11, 21, 13, 30, tzinfo=UTC)
EVENT = EventFacts("Pottery", "workshop", START, START + timedelta(hours=2), "Asia/Kolkata")


def test_an_event_in_its_own_zone() -> None:
    assert builtin_values(EVENT, organization="Clay & Co", group_name="Morning") == {
        "event_title": "Pottery",
        "event_kind": "workshop",
        "event_date": "Saturday, 21 November 2026",
        "event_date_short": "21 Nov",
        "event_day": "Saturday",
        "event_time": "7:00 pm",
        "event_time_24": "19:00",
        "event_end_time": "9:00 pm",
        "event_timezone": "IST",
        "organization": "Clay & Co",
        "group_name": "Morning",
    }


def test_every_builtin_variable_is_described_and_has_a_value() -> None:
    values = builtin_values(EVENT, organization="Clay", group_name="Morning")
    assert values.keys() == BUILTIN.keys()
    assert all(is_name(name) for name in BUILTIN)


def test_what_has_no_value_is_not_made_up() -> None:
    event = EventFacts("Pottery", "webinar", START, None, "Asia/Kolkata")
    values = builtin_values(event, organization="Clay")
    assert fill("{event_end_time} {group_name}", values).missing == ("event_end_time", "group_name")


@pytest.mark.parametrize(
    ("hour", "minute", "said"),
    [(0, 5, "12:05 am"), (11, 59, "11:59 am"), (12, 0, "12:00 pm"), (23, 30, "11:30 pm")],
)
def test_times_of_day(hour: int, minute: int, said: str) -> None:
    start = datetime(2026, 1, 2, hour, minute, tzinfo=UTC)
    event = EventFacts("Pottery", "workshop", start, None, "UTC")
    assert builtin_values(event, organization="Clay")["event_time"] == said


@pytest.mark.parametrize(
    ("zone", "month", "said"),
    [
        ("America/New_York", 1, "EST"),
        ("America/New_York", 7, "EDT"),
        ("Asia/Dubai", 1, "UTC+4"),
        ("Asia/Kathmandu", 1, "UTC+5:45"),
        ("America/Sao_Paulo", 1, "UTC-3"),
        ("UTC", 1, "UTC"),
    ],
)
def test_the_zone_has_a_name_that_people_can_read(zone: str, month: int, said: str) -> None:
    assert zone_name(datetime(2026, month, 15, 12, tzinfo=ZoneInfo(zone))) == said


@given(
    st.integers(0, 4_000_000_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})),
)
def test_every_moment_in_every_zone_has_values(start: datetime, zone: str) -> None:
    values = builtin_values(EventFacts("x", "workshop", start, None, zone), organization="y")
    assert all(values.values())
    assert values["event_date"].startswith(values["event_day"])
