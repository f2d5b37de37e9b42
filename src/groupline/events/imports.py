"""What a table says about events, their groups and their values. Pure: facts in, decisions out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from groupline.errors import InvalidInput
from groupline.events.clock_changes import ClockChange, changes_of, read_wall_clock
from groupline.events.rules import check_input, check_values
from groupline.events.schemas import MAX_VALUE, EventInput
from groupline.events.tables import Line, Mistake, Table
from groupline.events.variables import BUILTIN
from groupline.gateways.phone import normalise_phone
from groupline.groups.names import normalise, short_id
from groupline.messages.variables import is_name
from groupline.models import EventStatus
from groupline.orgs.rules import check_timezone

GROUP_COLUMNS: Final = ("group", "name", "id", "group id", "jid")
EVENT_COLUMNS: Final = ("title", "starts", "ends", "timezone", "number", "sequence", "groups")
VALUE_COLUMNS: Final = ("name", "value")
MAX_EVENTS: Final = 200


@dataclass(frozen=True, slots=True)
class KnownGroup:
    id: UUID
    jid: str
    name: str | None


class GroupBook:
    """Finds the group that somebody means: by its id, its name, or the end of its id."""

    def __init__(self, groups: Sequence[KnownGroup]) -> None:
        self._by_word: dict[str, list[KnownGroup]] = {}
        for group in groups:
            words = {str(group.id), group.jid, short_id(group.jid), normalise(group.name or "")}
            for word in words - {""}:
                self._by_word.setdefault(word, []).append(group)

    def find(self, text: str, *, preferred: Collection[UUID] = ()) -> KnownGroup:
        """Of several with one name, those that are preferred.

        Raises ``InvalidInput`` where it is not exactly one.
        """
        found = self._by_word.get(text.strip()) or self._by_word.get(normalise(text)) or []
        if len(found) > 1:
            found = [group for group in found if group.id in preferred] or found
        if len(found) == 1:
            return found[0]
        if not found:
            raise InvalidInput(f"There is no group “{text}”.")
        endings = ", ".join(short_id(group.jid) for group in found[:5])
        raise InvalidInput(
            f"{len(found)} groups are called “{text}”: give the end of its id ({endings})."
        )


@dataclass(frozen=True, slots=True)
class FoundGroups:
    groups: tuple[KnownGroup, ...]
    mistakes: tuple[Mistake, ...]


def find_groups(table: Table, book: GroupBook) -> FoundGroups:
    """One group per line, in the first of the columns that can name one."""
    column = next((name for name in table.columns if name in GROUP_COLUMNS), None)
    if column is None:
        raise InvalidInput("No column is called “group”.", fields={"file": "needs a column group"})
    found: dict[UUID, KnownGroup] = {}
    mistakes = []
    for line in table.lines:
        try:
            group = book.find(line.cells.get(column, ""))
            found[group.id] = group
        except InvalidInput as error:
            mistakes.append(Mistake(line.number, error.detail))
    return FoundGroups(tuple(found.values()), tuple(mistakes))


# --- values ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundValues:
    values: Mapping[str, str]
    mistakes: tuple[Mistake, ...]


def find_values(table: Table) -> FoundValues:
    values: dict[str, str] = {}
    mistakes = []
    for line in table.lines:
        name = line.cells.get("name", "").removeprefix("{").removesuffix("}")
        try:
            _check_value(name, line.cells.get("value", ""))
            values[name] = line.cells.get("value", "")
        except InvalidInput as error:
            mistakes.append(Mistake(line.number, error.detail))
    return FoundValues(values, tuple(mistakes))


def _check_value(name: str, value: str) -> None:
    if not is_name(name):
        raise InvalidInput(f"“{name}” is no name for a variable: small letters, digits and _.")
    if len(value) > MAX_VALUE:
        raise InvalidInput(f"The value of {{{name}}} takes at most {MAX_VALUE:,} characters.")
    check_values({name: value}, BUILTIN)


# --- events ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What lines can refer to."""

    numbers: Mapping[str, UUID]
    """By their digits."""
    sequences: Mapping[str, UUID]
    """By their name in small letters."""
    groups: GroupBook
    timezone: str
    """Of the organization."""
    members: Mapping[UUID, Collection[UUID]] = field(default_factory=dict)
    """By number, the groups that it is in."""


@dataclass(frozen=True, slots=True)
class PresentEvent:
    """An event that is there already."""

    id: UUID
    title: str
    starts_at: datetime
    status: EventStatus


@dataclass(frozen=True, slots=True)
class FoundEvent:
    line: int
    event: EventInput
    groups: tuple[KnownGroup, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a change of the clocks does to its times."""
    present: PresentEvent | None = None
    """The one like it that is there already."""
    twin: int | None = None
    """The earlier line that says the same."""

    @property
    def already_there(self) -> str | None:
        """Why it is left out, if nobody wants it once more."""
        if self.present is not None:
            status = self.present.status
            return "Already there" if status == "planned" else f"Already there, {status}"
        return None if self.twin is None else f"The same as line {self.twin}"


@dataclass(frozen=True, slots=True)
class FoundEvents:
    events: tuple[FoundEvent, ...]
    mistakes: tuple[Mistake, ...]

    @property
    def new(self) -> tuple[FoundEvent, ...]:
        """Those that are not there already."""
        return tuple(each for each in self.events if each.already_there is None)


def with_present(found: FoundEvents, present: Sequence[PresentEvent]) -> FoundEvents:
    """An event is there already if one has its title and its start."""
    known = {(each.title, each.starts_at): each for each in present}
    first: dict[tuple[str, datetime], int] = {}
    events = []
    for each in found.events:
        key = (each.event.title, each.event.starts_at)
        line = first.setdefault(key, each.line)
        twin = None if line == each.line else line
        events.append(replace(each, present=known.get(key), twin=twin))
    return replace(found, events=tuple(events))


def find_events(table: Table, known: Known, now: datetime) -> FoundEvents:
    """One event per line. A column that is none of ours is a variable."""
    for column in ("title", "starts"):
        if column not in table.columns:
            why = f"No column is called “{column}”."
            raise InvalidInput(why, fields={"file": why})
    if len(table.lines) > MAX_EVENTS:
        why = f"At most {MAX_EVENTS} at once."
        raise InvalidInput(why, fields={"file": why})
    found, mistakes = [], []
    for line in table.lines:
        try:
            found.append(_event(line, known, now))
        except InvalidInput as error:
            mistakes.append(Mistake(line.number, error.detail))
    return FoundEvents(tuple(found), tuple(mistakes))


def _event(line: Line, known: Known, now: datetime) -> FoundEvent:
    cells = line.cells
    timezone = check_timezone(cells.get("timezone", known.timezone))
    zone = ZoneInfo(timezone)
    number_id = _number(cells.get("number"), known)
    starts_at, of_start = _moment(cells.get("starts", ""), zone, "start")
    ends_at, of_end = _moment(cells["ends"], zone, "end") if "ends" in cells else (None, None)
    event = EventInput(
        title=cells.get("title", ""),
        starts_at=starts_at,
        timezone=timezone,
        ends_at=ends_at,
        number_id=number_id,
        sequence_id=_sequence(cells.get("sequence"), known),
    )
    own = known.members.get(number_id, ()) if number_id is not None else ()
    groups = [
        known.groups.find(name, preferred=own)
        for name in cells.get("groups", "").split("|")
        if name.strip()
    ]
    values = {name: value for name, value in cells.items() if name not in EVENT_COLUMNS}
    for name, value in values.items():
        _check_value(name, value)
    unique = {group.id: group for group in groups}
    changes = changes_of(event, {"startsAt": of_start, "endsAt": of_end})
    return FoundEvent(
        line.number,
        check_input(event, now),
        tuple(unique.values()),
        values,
        tuple(change.sentence for change in changes.values()),
    )


def _moment(text: str, zone: ZoneInfo, what: str) -> tuple[datetime, ClockChange | None]:
    """A time of the wall clock in the zone of the event, unless it has an offset."""
    try:
        moment = datetime.fromisoformat(text)
        if not 2000 <= moment.year <= 2200:
            raise ValueError(text)
    except ValueError as error:
        raise InvalidInput(f"The {what} “{text}” is no time like 2026-03-04 19:00.") from error
    return (moment, None) if moment.tzinfo is not None else read_wall_clock(moment, zone)


def _number(text: str | None, known: Known) -> UUID | None:
    if text is None:
        return None
    found = known.numbers.get(normalise_phone(text))
    if found is None:
        raise InvalidInput(f"The organization has no number {text}.")
    return found


def _sequence(text: str | None, known: Known) -> UUID | None:
    if text is None:
        return None
    found = known.sequences.get(text.lower())
    if found is None:
        raise InvalidInput(f"There is no sequence “{text}”.")
    return found
