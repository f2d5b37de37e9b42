"""Tables as spreadsheets write them, and what they say about groups, values and events."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.errors import InvalidInput
from groupline.events.imports import (
    GROUP_COLUMNS,
    VALUE_COLUMNS,
    GroupBook,
    Known,
    KnownGroup,
    find_events,
    find_groups,
    find_values,
)
from groupline.events.tables import MAX_BYTES, MAX_LINES, read_table, write_table

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MORNING = KnownGroup(UUID(int=1), "120363000000000001@g.us", "Morning Café")
EVENING = KnownGroup(UUID(int=2), "120363000000000002@g.us", "Evening")
TWIN = KnownGroup(UUID(int=3), "120363000000000003@g.us", "evening ")
BOOK = GroupBook([MORNING, EVENING, TWIN])
KNOWN = Known({"919876543210": UUID(int=4)}, {"reminders": UUID(int=5)}, BOOK, "Asia/Kolkata")


@pytest.mark.parametrize(
    "data",
    [
        b"name,value\r\nhost,Jo\r\n",
        b"\xef\xbb\xbfname;value\nhost;Jo",
        b"Name\tValue\n\nhost\tJo\n\n",
        '"name","value"\r"host","Jo"\r',
        "name,value\nhost,'Jo\n".replace("'", ""),
    ],
)
def test_a_table_is_read_however_it_was_written(data: bytes | str) -> None:
    table = read_table(data)
    assert table.columns == ("name", "value")
    assert [line.cells for line in table.lines] == [{"name": "host", "value": "Jo"}]


def test_lines_are_counted_as_an_editor_does() -> None:
    table = read_table('name,value\n\nhost,"two\nlines"\nlink,x\n')
    assert [line.number for line in table.lines] == [4, 5]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "nothing in it"),
        (b" , ,\n", "nothing in it"),
        (b"name,value\n\xff\xfe", "not UTF-8"),
        (b"a\x00b,c\n", "no text"),
        (b"x" * (MAX_BYTES + 1), "larger than 1 MB"),
        ("a,b\n" * (MAX_LINES + 2), "more than 5,000 lines"),
        ("name,name\nx,y\n", "“name” is there twice"),
        ('name,value\n"open,x\n', "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(data: bytes | str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read_table(data)


CELL = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="'"), min_size=1
).map(str.strip)


@given(st.lists(st.tuples(CELL.filter(bool), CELL.filter(bool)), min_size=1, max_size=20))
def test_what_was_written_is_read_again_and_never_runs(rows: list[tuple[str, str]]) -> None:
    written = write_table([("name", "value"), *rows])
    for line in written.removeprefix("\ufeff").splitlines():
        assert not line.lstrip('" ').startswith(("=", "+", "-", "@"))
    table = read_table(written.encode())
    assert [(line.cells["name"], line.cells["value"]) for line in table.lines] == rows


def test_groups_are_found_by_name_id_and_the_end_of_the_id() -> None:
    table = read_table(
        "morning cafe\n120363000000000002@g.us\n000003\nMorning Café\n", columns=GROUP_COLUMNS
    )
    found = find_groups(table, BOOK)
    assert found.groups == (MORNING, EVENING, TWIN)
    assert found.mistakes == ()


def test_a_group_that_is_unknown_or_one_of_several_is_a_mistake_of_its_line() -> None:
    found = find_groups(read_table("group\nNight\nEvening\n"), BOOK)
    assert found.groups == ()
    assert [(mistake.line, mistake.why) for mistake in found.mistakes] == [
        (2, "There is no group “Night”."),
        (3, "2 groups are called “Evening”: give the end of its id (000002, 000003)."),
    ]


@pytest.mark.parametrize("twin", [EVENING, TWIN])
def test_of_groups_with_one_name_the_one_of_the_number_of_the_event_is_meant(
    twin: KnownGroup,
) -> None:
    known = replace(KNOWN, members={UUID(int=4): {MORNING.id, twin.id}})
    table = "title,starts,number,groups\nGlazing,2026-03-08 19:00,{},Evening\n"
    (found,) = find_events(read_table(table.format("919876543210")), known, NOW).events
    assert found.groups == (twin,)
    without = find_events(read_table(table.format("")), known, NOW)
    assert "2 groups are called “Evening”" in without.mistakes[0].why


def test_a_group_of_another_number_is_found_where_its_name_is_the_only_one() -> None:
    known = replace(KNOWN, members={UUID(int=4): {EVENING.id}})
    table = "title,starts,number,groups\nGlazing,2026-03-08 19:00,919876543210,Morning Café\n"
    (found,) = find_events(read_table(table), known, NOW).events
    assert found.groups == (MORNING,)


def test_values_are_read_and_mistakes_named() -> None:
    table = read_table("{zoom_link},'=1+1\nZoom,x\nevent_title,x\nhost,\n", columns=VALUE_COLUMNS)
    found = find_values(table)
    assert found.values == {"zoom_link": "=1+1", "host": ""}
    assert [mistake.line for mistake in found.mistakes] == [2, 3]


def test_an_event_is_read_with_its_groups_and_values_in_its_own_zone() -> None:
    table = read_table(
        "title;starts;ends;timezone;number;sequence;groups;zoom_link\n"
        "Pottery;2026-03-08 19:00;2026-03-08 21:00;America/New_York;+91 98765 43210;REMINDERS;"
        "Morning Café|000002;https://x\n"
        "Bare;2026-03-09T19:00\n"
    )
    full, bare = find_events(table, KNOWN, NOW).events
    assert full.event.starts_at == datetime(2026, 3, 8, 23, 0, tzinfo=UTC)
    assert (full.event.number_id, full.event.sequence_id) == (UUID(int=4), UUID(int=5))
    assert full.groups == (MORNING, EVENING)
    assert full.values == {"zoom_link": "https://x"}
    assert bare.event.starts_at == datetime(2026, 3, 9, 19, 0, tzinfo=ZoneInfo("Asia/Kolkata"))
    assert bare.event.number_id is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (",2026-03-08 19:00,,,,", "The title needs 1 to 200 printable characters."),
        ("A,soon,,,,", "The start “soon” is no time like 2026-03-04 19:00."),
        ("A,2026-03-08 19:00,Mars/Olympus,,,", "The time zone is not a time zone"),
        ("A,2026-03-08 19:00,,+91 90000 00000,,", "The organization has no number"),
        ("A,2026-03-08 19:00,,,Nothing,", "There is no sequence “Nothing”."),
        ("A,2026-03-08 19:00,,,,Night", "There is no group “Night”."),
        ("A,2031-03-08 19:00,,,,", "The start is more than two years ahead."),
    ],
)
def test_a_line_that_cannot_be_an_event_says_why(line: str, why: str) -> None:
    table = read_table(f"title,starts,timezone,number,sequence,groups\n{line}\n")
    found = find_events(table, KNOWN, NOW)
    assert found.events == ()
    assert found.mistakes[0].line == 2
    assert found.mistakes[0].why.startswith(why)


def test_a_table_of_events_needs_titles_and_starts() -> None:
    with pytest.raises(InvalidInput, match="No column is called “starts”"):
        find_events(read_table("title\nPottery\n"), KNOWN, NOW)
