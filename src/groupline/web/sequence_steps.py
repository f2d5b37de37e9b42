"""The form of one step: what a person types, and the step that it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Form

from groupline.errors import InvalidInput
from groupline.events.schemas import StepView
from groupline.events.sequence_schemas import StepInput, StepRefused
from groupline.events.step_rules import parse_offset
from groupline.events.steps import day_in_words, in_words

_DAYS: Final = (*range(-14, 15), -30, -21, 21, 30)
_FIELDS: Final[Mapping[str, str]] = {
    "offsetMinutes": "offset",
    "dayOffset": "day",
    "localTime": "at",
    "lateMinutes": "late",
    "templateId": "template",
    "label": "label",
}
"""Where the form shows what is wrong with a member of a step."""


@dataclass(frozen=True, slots=True)
class TypedStep:
    template: str = ""
    label: str = ""
    kind: str = "offset"
    offset: str = ""
    day: str = "0"
    at: str = "10:00"
    late: str = "30"

    @classmethod
    def of(cls, step: StepView) -> "TypedStep":
        timing = step.timing
        own = {
            "template": str(step.template_id),
            "label": step.label or "",
            "late": str(timing.late_minutes),
        }
        if timing.offset_minutes is not None:
            return cls(**own, kind="offset", offset=in_words(timing))
        at = timing.local_time
        return cls(**own, kind="clock", day=str(timing.day_offset), at=f"{at:%H:%M}")

    def input(self, step_id: UUID | None) -> StepInput:
        """Raises ``InvalidInput`` by the names of the fields of the form."""
        wrong: dict[str, str] = {}
        template_id = _template(self.template, wrong)
        late = _number(self.late, wrong, "late", "In minutes: 30.")
        if self.kind == "clock":
            day = _number(self.day, wrong, "day", "Choose a day.")
            when = {"day_offset": day, "local_time": _time(self.at, wrong)}
        else:
            when = {"offset_minutes": _offset(self.offset, wrong)}
        if wrong:
            raise InvalidInput(" ".join(wrong.values()), fields=wrong)
        return StepInput(
            template_id=template_id,
            id=step_id,
            label=self.label or None,
            late_minutes=late,
            **when,  # type: ignore[arg-type]
        )


def typed_step(
    *,
    template: Annotated[str, Form(max_length=50)] = "",
    label: Annotated[str, Form(max_length=1_000)] = "",
    kind: Annotated[str, Form(max_length=20)] = "offset",
    offset: Annotated[str, Form(max_length=200)] = "",
    day: Annotated[str, Form(max_length=20)] = "0",
    at: Annotated[str, Form(max_length=20)] = "",
    late: Annotated[str, Form(max_length=20)] = "30",
) -> TypedStep:
    return TypedStep(template, label, kind, offset.strip(), day, at.strip(), late.strip())


StepForm = Annotated[TypedStep, Depends(typed_step)]


def step_errors(refused: InvalidInput) -> dict[str, str]:
    """By the names that the fields have on the page."""
    fields = refused.of_step if isinstance(refused, StepRefused) else refused.fields
    return {_FIELDS.get(name, name): why for name, why in fields.items()} or {"": refused.detail}


def day_options(chosen: str) -> list[tuple[str, str]]:
    days = sorted({*_DAYS, *([int(chosen)] if _is_number(chosen) else [])})
    return [(str(day), day_in_words(day).capitalize()) for day in days]


def _template(text: str, wrong: dict[str, str]) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        wrong["template"] = "Choose a template."
        return UUID(int=0)


def _offset(text: str, wrong: dict[str, str]) -> int:
    try:
        return parse_offset(text)
    except InvalidInput as error:
        wrong["offset"] = error.detail
        return 0


def _time(text: str, wrong: dict[str, str]) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        wrong["at"] = "A time of day: 10:00."
        return time(0)


def _number(text: str, wrong: dict[str, str], field: str, why: str) -> int:
    if _is_number(text):
        return int(text)
    wrong[field] = why
    return 0


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 9
