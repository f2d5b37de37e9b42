"""What is said about a time that a change of the clocks makes unclear."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.events.clock_changes import change_of, change_of_step, read_wall_clock
from groupline.events.steps import Timing, at_wall_clock

NEW_YORK = ZoneInfo("America/New_York")
ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia")


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "zone", "instant", "sentence"),
    [
        (
            "2026-03-08 02:30",
            "America/New_York",
            "2026-03-08 07:00",
            (
                "02:30 on Sunday, 8 March 2026 does not exist in America/New_York, where the "
                "clocks go forward. It becomes 03:00 EDT."
            ),
        ),
        (
            "2026-11-01 01:30",
            "America/New_York",
            "2026-11-01 05:30",
            (
                "01:30 on Sunday, 1 November 2026 comes twice in America/New_York, where the "
                "clocks go back. The first is taken: 01:30 EDT."
            ),
        ),
        (
            "2026-10-04 02:10",
            "Australia/Lord_Howe",
            "2026-10-03 15:30",
            (
                "02:10 on Sunday, 4 October 2026 does not exist in Australia/Lord_Howe, where the "
                "clocks go forward. It becomes 02:30 UTC+11."
            ),
        ),
        (
            "2011-12-30 12:00",
            "Pacific/Apia",
            "2011-12-30 10:00",
            (
                "12:00 on Friday, 30 December 2011 does not exist in Pacific/Apia, where the "
                "clocks go forward. It becomes 00:00 UTC+14 on Saturday, 31 December 2011."
            ),
        ),
    ],
)
def test_it_is_said_what_becomes_of_a_time(
    text: str, zone: str, instant: str, sentence: str
) -> None:
    taken, change = read_wall_clock(wall(text), ZoneInfo(zone))
    assert taken == wall(instant).replace(tzinfo=UTC)
    assert change is not None
    assert change.sentence == sentence
    assert change.becomes == taken


@pytest.mark.parametrize(
    "text",
    ["2026-03-08 01:59", "2026-03-08 03:00", "2026-11-01 00:59", "2026-11-01 02:00", "2026-07-01"],
)
def test_nothing_is_said_about_a_time_that_is_clear(text: str) -> None:
    assert read_wall_clock(wall(text), NEW_YORK)[1] is None


@pytest.mark.parametrize(("hour", "which"), [(5, "first"), (6, "second")])
def test_of_a_moment_that_was_given_it_is_said_which_of_the_two_it_is(
    hour: int, which: str
) -> None:
    change = change_of(datetime(2026, 11, 1, hour, 30, tzinfo=UTC), NEW_YORK)
    assert change is not None
    assert f"The {which} is taken" in change.sentence
    assert change_of(datetime(2026, 11, 1, 7, 30, tzinfo=UTC), NEW_YORK) is None


def test_a_step_at_a_time_of_day_can_meet_a_change_and_one_in_minutes_cannot() -> None:
    starts = datetime(2026, 3, 8, 23, tzinfo=UTC)
    at_night = Timing(day_offset=0, local_time=time(2, 30))
    change = change_of_step(at_night, starts, NEW_YORK)
    assert change is not None
    assert change.kind == "skipped"
    assert change_of_step(Timing(offset_minutes=-990), starts, NEW_YORK) is None


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001
    st.sampled_from(ZONES),
)
def test_silence_means_that_there_is_exactly_this_one_moment(text: datetime, name: str) -> None:
    zone, asked = ZoneInfo(name), text.replace(microsecond=0)
    instant, change = read_wall_clock(asked, zone)
    assert instant == at_wall_clock(asked, zone)

    def shows(moment: datetime) -> bool:
        return moment.astimezone(zone).replace(tzinfo=None, fold=0) == asked

    around = [instant + timedelta(minutes=n) for n in (-60, -30, 30, 60)]
    assert (change is None) == (shows(instant) and not any(map(shows, around)))
