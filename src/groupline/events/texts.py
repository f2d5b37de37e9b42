"""The texts of an event: templates with its values, and what in them has none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final
from uuid import UUID

from groupline.errors import InvalidInput
from groupline.events.schemas import EventView, StepView, Unresolved
from groupline.events.variables import BUILTIN, EventFacts, builtin_values
from groupline.messages.variables import Filled, Problem, fill, scan, suggest

GROUP_NAME: Final = "group_name"
_NEEDS: Final[Mapping[str, str]] = {
    "event_end_time": "the event has no end.",
    GROUP_NAME: "a group of the event has no name.",
}


class Texts:
    """Fills templates for one event. A text that is the same for all groups is filled once."""

    def __init__(self, event: EventView) -> None:
        self._event = event
        self._shared: dict[str, Filled] = {}

    @cached_property
    def values(self) -> dict[str, str]:
        """What follows from the event goes before what somebody typed."""
        event = self._event
        facts = EventFacts(event.title, event.kind, event.starts_at, event.ends_at, event.timezone)
        return {
            **event.values,
            **builtin_values(facts, organization=event.organization_name),
        }

    def fill(self, content: str, group_name: str | None) -> Filled:
        if names_group(content):
            named = {GROUP_NAME: group_name} if group_name else {}
            return fill(content, {**self.values, **named})
        if content not in self._shared:
            self._shared[content] = fill(content, self.values)
        return self._shared[content]

    def unresolved(self, step: StepView, group_names: Iterable[str | None]) -> list[Unresolved]:
        """What of the step would not leave, each once. Without groups the name of one is taken
        to be known."""
        names = set(group_names) or {"a group"}
        checked = names if names_group(step.content) else {next(iter(names))}
        found = {
            each.text: each
            for name in sorted(checked, key=str)
            for each in _unresolved(step, self.fill(step.content, name), self.values)
        }
        return list(found.values())

    def lacking(self) -> list[Unresolved]:
        """What of all steps would not leave, whatever the groups are called."""
        return [each for step in self._event.steps for each in self.unresolved(step, ())]


def names_group(content: str) -> bool:
    return GROUP_NAME in scan(content).names


def needed_names(contents: Iterable[str]) -> list[str]:
    """The variables that somebody has to give a value, in the order of the texts."""
    names = (name for content in contents for name in scan(content).names)
    return [name for name in dict.fromkeys(names) if name not in BUILTIN]


def _unresolved(step: StepView, filled: Filled, known: Mapping[str, str]) -> Iterator[Unresolved]:
    for name in filled.missing:
        yield _at(step, f"{{{name}}}", missing_sentence(name, known), name)
    for problem in filled.problems:
        yield _at(step, problem.text, _problem_sentence(problem, known))


def _at(step: StepView, text: str, sentence: str, variable: str | None = None) -> Unresolved:
    return Unresolved(
        text=text,
        sentence=sentence,
        step_id=step.id,
        step=step.title,
        template_id=step.template_id,
        template=step.template_name,
        variable=variable,
    )


def missing_sentence(name: str, known: Iterable[str]) -> str:
    if name in _NEEDS:
        return f"{{{name}}} has no value: {_NEEDS[name]}"
    meant = suggest(name, {*known, *BUILTIN})
    hint = f" Did you mean {{{meant}}}?" if meant else ""
    return f"{{{name}}} has no value.{hint}"


def _problem_sentence(problem: Problem, known: Iterable[str]) -> str:
    if problem.suggestion is None or problem.suggestion in {*known, *BUILTIN}:
        return problem.sentence
    meant = suggest(problem.suggestion, {*known, *BUILTIN})
    return f"{problem.sentence} Or did you mean {{{meant}}}?" if meant else problem.sentence


class UnresolvedVariables(InvalidInput):
    """Some text would leave with a variable in it; nothing was written."""

    code, title = "unresolved_variables", "Some variables have no value"

    def __init__(self, found: Iterable[Unresolved]) -> None:
        self.found = tuple(found)
        super().__init__(
            f"Nothing was scheduled. {_said(self.found)}",
            fields={
                each.variable or each.text: f"{each.sentence} In “{each.template}”."
                for each in self.found
            },
            hint="Give each variable a value in the variables of the event, or correct the text.",
        )
        self.extra["unresolved"] = [unresolved_json(each) for each in self.found]


_NAMED: Final = 3


def _said(found: Sequence[Unresolved]) -> str:
    """The first with the steps in which it stands, and the names of all others."""
    first = found[0]
    same = [each for each in found if _place(each) == _place(first)]
    steps = list(dict.fromkeys(f"“{each.step}”" for each in same))
    where = f"{'step' if len(steps) == 1 else 'steps'} {_listed(steps)}"
    said = f"{first.sentence} It stands in “{first.template}”, in the {where}."
    others = list(dict.fromkeys(each.text for each in found if each.text != first.text))
    return f"{said} To put right too: {_listed(others)}." if others else said


def _place(each: Unresolved) -> tuple[str, UUID]:
    return each.text, each.template_id


def _listed(names: Sequence[str]) -> str:
    """Some of them, and how many more: “a, b and c”, “a, b, c and 2 more”."""
    more = len(names) - _NAMED
    shown = [*names[:_NAMED], f"{more:,} more"] if more > 0 else [*names]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def unresolved_json(each: Unresolved) -> dict[str, str | None]:
    return {
        "text": each.text,
        "variable": each.variable,
        "sentence": each.sentence,
        "stepId": str(each.step_id),
        "step": each.step,
        "templateId": str(each.template_id),
        "template": each.template,
    }
