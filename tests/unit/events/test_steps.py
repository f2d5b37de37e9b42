"""When a step is due: elapsed time and wall clocks, across the changes of both."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.events.steps import Timing, at_wall_clock, due_at, in_words, useful_until

KOLKATA = ZoneInfo("Asia/Kolkata")
NEW_YORK = ZoneInfo("America/New_York")
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Asia/Kolkata",
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",  # changes by half an hour
        "America/St_Johns",
        "Pacific/Apia",
        "Africa/Casablanca",
        "Asia/Kathmandu",
    )
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def before(minutes: int) -> Timing:
    return Timing(offset_minutes=-minutes)


def on_day(day: int, clock: str) -> Timing:
    return Timing(day_offset=day, local_time=time.fromisoformat(clock))


@pytest.mark.parametrize(
    ("timing", "starts", "zone", "due"),
    [
        # Around a workshop at 19:00 in Kolkata.
        (on_day(-1, "10:00"), "2026-03-04 19:00", KOLKATA, "2026-03-03 04:30"),
        (before(60), "2026-03-04 19:00", KOLKATA, "2026-03-04 12:30"),
        (before(10), "2026-03-04 19:00", KOLKATA, "2026-03-04 13:20"),
        (Timing(offset_minutes=0), "2026-03-04 19:00", KOLKATA, "2026-03-04 13:30"),
        (on_day(1, "09:00"), "2026-03-04 19:00", KOLKATA, "2026-03-05 03:30"),
        # Before the clocks of New York go forward it is winter time, and afterwards not.
        (on_day(-1, "10:00"), "2026-03-08 19:00", NEW_YORK, "2026-03-07 15:00"),
        (on_day(0, "10:00"), "2026-03-08 19:00", NEW_YORK, "2026-03-08 14:00"),
        (on_day(1, "09:00"), "2026-03-08 19:00", NEW_YORK, "2026-03-09 13:00"),
        # Elapsed time does not care: 24 hours before is 18:00 on the wall.
        (before(24 * 60), "2026-03-08 19:00", NEW_YORK, "2026-03-07 23:00"),
        # And back in autumn.
        (on_day(-1, "10:00"), "2026-11-01 19:00", NEW_YORK, "2026-10-31 14:00"),
        (on_day(1, "09:00"), "2026-11-01 19:00", NEW_YORK, "2026-11-02 14:00"),
        # A time that is jumped over: the next moment that exists.
        (on_day(0, "02:30"), "2026-03-08 19:00", NEW_YORK, "2026-03-08 07:00"),
        # A time that comes twice: the first.
        (on_day(0, "01:30"), "2026-11-01 19:00", NEW_YORK, "2026-11-01 05:30"),
        # Ends of months and years.
        (on_day(-1, "10:00"), "2026-03-01 19:00", KOLKATA, "2026-02-28 04:30"),
        (on_day(-1, "10:00"), "2028-03-01 19:00", KOLKATA, "2028-02-29 04:30"),
        (on_day(1, "00:15"), "2026-12-31 19:00", KOLKATA, "2026-12-31 18:45"),
    ],
)
def test_a_step_is_due_when_a_person_would_say(
    timing: Timing, starts: str, zone: ZoneInfo, due: str
) -> None:
    assert due_at(timing, local(starts, zone), zone) == utc(due)


def test_the_day_is_the_one_in_the_zone_of_the_event() -> None:
    """01:00 in Kolkata is the evening before in UTC, and in New York."""
    starts = local("2026-03-05 01:00", KOLKATA)
    assert due_at(on_day(-1, "10:00"), starts, KOLKATA) == utc("2026-03-04 04:30")
    assert due_at(on_day(-1, "10:00"), starts.astimezone(NEW_YORK), KOLKATA) == utc(
        "2026-03-04 04:30"
    )


def test_a_day_that_was_skipped_is_over_when_the_next_begins() -> None:
    """Samoa had no 30 December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    assert at_wall_clock(datetime(2011, 12, 30, 12, 0), apia) == utc("2011-12-30 10:00")  # noqa: DTZ001


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001
    st.sampled_from(ZONES),
)
def test_a_wall_clock_time_is_the_first_instant_that_shows_it(
    wall: datetime, zone: ZoneInfo
) -> None:
    wall = wall.replace(microsecond=0)
    instant = at_wall_clock(wall, zone)

    def shown(moment: datetime) -> datetime:
        return moment.astimezone(zone).replace(tzinfo=None, fold=0)

    assert shown(instant) >= wall
    assert shown(instant - timedelta(seconds=1)) < wall
    if shown(instant) == wall:
        assert instant.astimezone(zone).fold == 0


@given(
    st.dates(date(2012, 6, 1), date(2037, 1, 1)),
    st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
    st.integers(-60, 60),
    st.sampled_from(ZONES),
)
def test_the_day_offset_counts_days_of_the_calendar(
    day: date, clock: time, offset: int, zone: ZoneInfo
) -> None:
    starts = at_wall_clock(datetime.combine(day, time(12)), zone)
    due = due_at(Timing(day_offset=offset, local_time=clock), starts, zone).astimezone(zone)
    wanted = datetime.combine(day + timedelta(days=offset), clock)
    assert due.replace(tzinfo=None) >= wanted
    assert due.replace(tzinfo=None) - wanted <= timedelta(hours=1), "no gap was longer since 2011"


@given(st.integers(-100_000, 100_000), st.sampled_from(ZONES))
def test_minutes_are_elapsed_time_wherever_it_is(minutes: int, zone: ZoneInfo) -> None:
    starts = datetime(2026, 3, 8, 6, 30, tzinfo=UTC)
    due = due_at(Timing(offset_minutes=minutes), starts.astimezone(zone), zone)
    assert due - starts == timedelta(minutes=minutes)


def test_a_message_is_useful_for_the_minutes_of_its_step() -> None:
    timing = Timing(offset_minutes=0, late_minutes=10)
    due = due_at(timing, utc("2026-03-04 13:30"), KOLKATA)
    assert useful_until(timing, due) == utc("2026-03-04 13:40")


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        (before(10), "10 minutes before the start"),
        (before(60), "1 hour before the start"),
        (before(24 * 60 + 90), "1 day 1 hour 30 minutes before the start"),
        (Timing(offset_minutes=0), "at the start"),
        (Timing(offset_minutes=1), "1 minute after the start"),
        (on_day(-1, "10:00"), "the day before, at 10:00"),
        (on_day(0, "08:05"), "on the day, at 08:05"),
        (on_day(1, "09:00"), "the day after, at 09:00"),
        (on_day(-3, "09:00"), "3 days before, at 09:00"),
    ],
)
def test_a_step_says_in_words_when_it_is(timing: Timing, words: str) -> None:
    assert in_words(timing) == words
