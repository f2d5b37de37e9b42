"""The calendar file of an event, read back as RFC 5545 says."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from groupline.events.calendar import calendar_of, fold
from groupline.events.schemas import EventView, StepView
from groupline.events.steps import Timing
from groupline.events.timeline import StepOnTimeline

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVENT = EventView(
    id=UUID(int=1),
    organization_id=UUID(int=2),
    kind="workshop",
    title="Töpfern; für alle, \\ wirklich\nalle",
    starts_at=datetime(2026, 3, 4, 13, 30, tzinfo=UTC),
    ends_at=None,
    timezone="Asia/Kolkata",
    status="planned",
    number_id=None,
    phone_number=None,
    number_name=None,
    sequence_id=None,
    sequence_name=None,
    created_by=None,
    created_at=NOW,
    updated_at=NOW,
    groups=40,
)
STEP = StepView(
    id=UUID(int=3),
    sequence_id=UUID(int=4),
    position=1,
    label="Ten minutes before",
    timing=Timing(offset_minutes=-10),
    template_id=UUID(int=5),
    template_name="Reminder",
    content="Hello",
    media_url=None,
    media_type=None,
)
ON_TIMELINE = StepOnTimeline(
    STEP, datetime(2026, 3, 4, 13, 20, tzinfo=UTC), True, {"scheduled": 40}, 0, 0
)
URL = "http://127.0.0.1:8420/workshops/1"


def read(calendar: str) -> list[dict[str, str]]:
    """The entries, unfolded, by name."""
    entries: list[dict[str, str]] = []
    for line in calendar.replace("\r\n ", "").removesuffix("\r\n").split("\r\n"):
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            entries.append({})
        elif entries and not line.startswith("END"):
            entries[-1][name] = value
    return entries


def test_the_event_and_each_of_its_steps_are_entries_in_utc() -> None:
    event, step = read(calendar_of(EVENT, [ON_TIMELINE], url=URL))
    assert (event["DTSTART"], event["DTEND"]) == ("20260304T133000Z", "20260304T143000Z")
    assert event["SUMMARY"] == "Töpfern\\; für alle\\, \\\\ wirklich\\nalle"
    assert step["DTSTART"] == "20260304T132000Z"
    assert step["SUMMARY"].endswith(": Ten minutes before")
    assert step["DESCRIPTION"] == "40 messages: 40 scheduled."


def test_the_same_event_keeps_its_ids_whatever_happens_to_it() -> None:
    before = read(calendar_of(EVENT, [ON_TIMELINE], url=URL))
    moved = replace(EVENT, starts_at=NOW, title="Other", status="cancelled")
    after = read(calendar_of(moved, [replace(ON_TIMELINE, at=NOW)], url=URL))
    assert [entry["UID"] for entry in after] == [entry["UID"] for entry in before]
    assert len({entry["UID"] for entry in before}) == 2
    assert {entry["STATUS"] for entry in after} == {"CANCELLED"}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=400))
def test_a_line_is_folded_at_75_octets_and_nothing_is_lost(line: str) -> None:
    parts = list(fold(line))
    assert all(len(part.encode()) <= 75 for part in parts)
    assert all(part.startswith(" ") for part in parts[1:])
    assert parts[0] + "".join(part[1:] for part in parts[1:]) == line
