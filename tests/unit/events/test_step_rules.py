"""What a step may be, and how one list of steps becomes another."""

from dataclasses import replace
from datetime import UTC, time
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.errors import InvalidInput
from groupline.events.names import name_of_copy
from groupline.events.sequence_schemas import MAX_STEPS, StepInput, StepRefused
from groupline.events.step_rules import checked, moved, ordered, parse_offset, plan
from groupline.events.steps import Timing, in_words

TEMPLATE = UUID(int=1)
OTHER = UUID(int=2)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("1 day 2 h before", -(24 * 60 + 120)),
        ("10 min before", -10),
        ("10m after", 10),
        ("  90   Minutes  BEFORE the start ", -90),
        ("1 hour and 30 minutes before start", -90),
        ("2 weeks, 1 day after", 15 * 24 * 60),
        ("at the start", 0),
        ("0", 0),
        ("0 min before", 0),
    ],
)
def test_distances_as_people_write_them(text: str, minutes: int) -> None:
    assert parse_offset(text) == minutes


@pytest.mark.parametrize(
    "text", ["", "before", "10", "10 before", "-10 min", "ten minutes before", "1 h 5", "1 month"]
)
def test_what_is_no_distance_says_how_it_is_written(text: str) -> None:
    with pytest.raises(InvalidInput, match="1 day 2 hours before"):
        parse_offset(text)


@given(st.integers(-400 * 1440, 400 * 1440))
def test_what_is_shown_can_be_typed(minutes: int) -> None:
    assert parse_offset(in_words(Timing(offset_minutes=minutes))) == minutes


@pytest.mark.parametrize(
    ("step", "fields"),
    [
        (StepInput(TEMPLATE), {"offsetMinutes"}),
        (StepInput(TEMPLATE, day_offset=1), {"localTime"}),
        (StepInput(TEMPLATE, local_time=time(9)), {"dayOffset"}),
        (StepInput(TEMPLATE, offset_minutes=0, local_time=time(9)), {"offsetMinutes"}),
        (StepInput(TEMPLATE, offset_minutes=367 * 1440), {"offsetMinutes"}),
        (StepInput(TEMPLATE, day_offset=-367, local_time=time(9)), {"dayOffset"}),
        (StepInput(TEMPLATE, day_offset=0, local_time=time(9, 0, 1)), {"localTime"}),
        (StepInput(TEMPLATE, day_offset=0, local_time=time(9, tzinfo=UTC)), {"localTime"}),
        (StepInput(TEMPLATE, offset_minutes=0, late_minutes=0), {"lateMinutes"}),
        (StepInput(TEMPLATE, label="x" * 101, late_minutes=10_081), {"offsetMinutes", "label"}),
    ],
)
def test_what_no_step_can_be(step: StepInput, fields: set[str]) -> None:
    with pytest.raises(StepRefused) as refused:
        checked([StepInput(TEMPLATE, offset_minutes=5), step])
    assert fields <= refused.value.of_step.keys()
    assert all(name.startswith("steps[1].") for name in refused.value.fields)
    assert refused.value.detail.startswith("Step 2: ")


@pytest.mark.parametrize(
    "when",
    [{"offset_minutes": -60}, {"day_offset": -1, "local_time": time(10)}],
)
def test_two_equal_steps_are_refused_with_both_named(when: dict[str, Any]) -> None:
    first = StepInput(TEMPLATE, label="Early", **when)
    steps = [first, StepInput(OTHER, **when), StepInput(TEMPLATE, label="Late", **when)]
    with pytest.raises(StepRefused) as refused:
        checked(steps)
    assert refused.value.fields.keys() == {"steps[2].templateId"}
    assert refused.value.detail == (
        f"Step 3: It is the same as step 1, “Early”: the same template, {in_words(first.timing)}. "
        "Every group would get it twice."
    )


def test_one_template_at_two_times_and_two_templates_at_one_are_two_steps() -> None:
    steps = [
        StepInput(TEMPLATE, offset_minutes=0),
        StepInput(OTHER, offset_minutes=0),
        StepInput(TEMPLATE, offset_minutes=-10),
        StepInput(TEMPLATE, day_offset=0, local_time=time(10)),
    ]
    assert checked(steps) == steps


def test_labels_are_cleaned() -> None:
    labels = [" an  hour ", "", " ", None]
    steps = [StepInput(TEMPLATE, label=label, offset_minutes=n) for n, label in enumerate(labels)]
    assert [step.label for step in checked(steps)] == ["an hour", None, None, None]


def test_there_are_not_too_many() -> None:
    with pytest.raises(InvalidInput, match="At most"):
        checked([StepInput(TEMPLATE, offset_minutes=0)] * (MAX_STEPS + 1))


def stored(*offsets: int) -> list[StepInput]:
    return [
        StepInput(TEMPLATE, id=UUID(int=100 + n), offset_minutes=offset)
        for n, offset in enumerate(offsets)
    ]


def test_the_same_list_without_ids_keeps_them() -> None:
    before = stored(-10, 0, 0)
    wanted = [replace(step, id=None, label="new") for step in before]
    made = plan(before, wanted)
    assert [step.id for step in made.steps] == [step.id for step in before]
    assert made.removed == ()


def test_an_id_goes_before_a_likeness() -> None:
    before = stored(-10, 0)
    wanted = [replace(before[0], id=None), replace(before[0], offset_minutes=5)]
    made = plan(before, wanted)
    assert [step.id for step in made.steps] == [None, before[0].id]
    assert made.removed == (before[1].id,)


def test_another_template_makes_another_step() -> None:
    before = stored(0)
    made = plan(before, [replace(before[0], id=None, template_id=OTHER)])
    assert (made.steps[0].id, made.removed) == (None, (before[0].id,))


@pytest.mark.parametrize("times", [1, 2])
def test_an_id_is_of_this_sequence_and_named_once(times: int) -> None:
    known = stored(0)
    wanted = [known[0]] * 2 if times == 2 else [replace(known[0], id=UUID(int=7))]
    with pytest.raises(StepRefused, match="no such step"):
        plan(known, wanted)


@given(st.permutations(stored(-3, -2, -2, 0, 5)), st.sets(st.integers(0, 4)))
def test_a_plan_loses_no_step_and_doubles_none(order: list[StepInput], nameless: set[int]) -> None:
    before = stored(-3, -2, -2, 0, 5)
    wanted = [replace(step, id=None) if n in nameless else step for n, step in enumerate(order)]
    made = plan(before, wanted)
    assert {step.id for step in made.steps} == {step.id for step in before}
    assert made.removed == ()
    assert [step.offset_minutes for step in made.steps] == [step.offset_minutes for step in order]


@pytest.mark.parametrize(
    ("place", "by", "order"),
    [(0, 1, [1, 0, 2]), (2, -1, [0, 2, 1]), (0, -1, [0, 1, 2]), (2, 1, [0, 1, 2])],
)
def test_a_step_moves_by_one_and_stops_at_the_ends(place: int, by: int, order: list[int]) -> None:
    steps = stored(0, 1, 2)
    step_id = steps[place].id
    assert step_id is not None
    assert moved(steps, step_id, by) == [steps[n] for n in order]


def test_an_order_that_does_not_know_a_step_puts_it_last() -> None:
    steps = stored(0, 1, 2)
    ids = [UUID(int=102), UUID(int=100), UUID(int=9)]
    assert ordered(steps, ids) == [steps[2], steps[0], steps[1]]


@pytest.mark.parametrize(
    ("name", "taken", "copy"),
    [
        ("A", [], "A (copy)"),
        ("A", ["A (copy)"], "A (copy 2)"),
        ("A" * 20, [], "A" * 13 + " (copy)"),
        ("A", ["A (copy)", "A (copy 2)"], "A (copy 3)"),
    ],
)
def test_copies_have_names_of_their_own(name: str, taken: list[str], copy: str) -> None:
    assert name_of_copy(name, taken, most=20) == copy
