"""What stands between an event and its messages: findings out of facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from groupline.events.pace import Estimate
from groupline.events.schemas import EventGroupView, EventView, StepView, Unresolved
from groupline.numbers.states import NumberState

Severity = Literal["problem", "warning"]
FindingCode = Literal[
    "not_ready",
    "not_scheduled",
    "number",
    "number_paused",
    "not_verified",
    "group",
    "media",
    "variable",
    "stale_text",
    "too_slow",
    "overlap",
]

VERIFIED_WITHIN: Final = timedelta(minutes=10)
_WORKING: Final = frozenset({NumberState.CONNECTED, NumberState.VERIFYING})
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    code: FindingCode
    severity: Severity
    sentence: str
    link: str
    """Where it can be put right, in the dashboard."""

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "sentence": self.sentence,
            "link": self.link,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Finding:
        return cls(stored["code"], stored["severity"], stored["sentence"], stored["link"])


@dataclass(frozen=True, slots=True)
class NumberFacts:
    phone: str
    state: NumberState
    sentence: str
    """About the connection."""
    verified_at: datetime | None
    pause: str | None
    """Since when and by whom nothing is sent, if that is so."""


@dataclass(frozen=True, slots=True)
class Facts:
    event: EventView
    number: NumberFacts | None
    groups: Sequence[EventGroupView]
    unresolved: Sequence[Unresolved]
    unscheduled: int
    """Messages that a run would add now: none, if it would be refused for want of a value."""
    stale: int
    media: Mapping[UUID, str]
    """By template: why what stands at its address cannot be sent."""
    estimates: Sequence[Estimate]


def findings(facts: Facts, now: datetime) -> list[Finding]:
    """What a person has to look at, the worst first."""
    found = [
        *_lacks(facts),
        *_number(facts.number, now),
        *_groups(facts),
        *_variables(facts),
        *_media(facts),
        *_schedule(facts),
        *_pace(facts),
    ]
    return _worst_first(found)


_OF_THE_NUMBER: Final[frozenset[FindingCode]] = frozenset(
    {"number", "number_paused", "not_verified"}
)


def renewed(
    found: Sequence[Finding], number: NumberFacts | None, now: datetime
) -> tuple[Finding, ...]:
    """What was found some time ago, with what is so of the number now: that changes by itself."""
    others = [finding for finding in found if finding.code not in _OF_THE_NUMBER]
    return tuple(_worst_first([*_number(number, now), *others]))


def _worst_first(found: Sequence[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: finding.severity != "problem")


def _here(facts: Facts, part: str = "") -> str:
    return f"/{facts.event.kind}s/{facts.event.id}{part}"


def _lacks(facts: Facts) -> Iterator[Finding]:
    parts = {"groups": "/groups", "number": "/edit", "sequence": "/edit"}
    for step in facts.event.readiness:
        if not step.done and step.key in parts:
            yield Finding("not_ready", "problem", step.sentence, _here(facts, parts[step.key]))


def _number(number: NumberFacts | None, now: datetime) -> Iterator[Finding]:
    if number is None:
        return
    link = "/settings/connection"
    if number.state not in _WORKING:
        severity: Severity = "warning" if number.state is NumberState.SUSPECT else "problem"
        yield Finding("number", severity, f"{number.phone}: {number.sentence}", link)
    elif number.verified_at is None or now - number.verified_at > VERIFIED_WITHIN:
        sentence = (
            f"{number.phone} has not been verified for {VERIFIED_WITHIN.seconds // 60} minutes."
        )
        yield Finding("not_verified", "warning", sentence, link)
    if number.pause is not None:
        yield Finding("number_paused", "problem", f"{number.phone}: {number.pause}", link)


def _groups(facts: Facts) -> Iterator[Finding]:
    reasons = dict.fromkeys(group.refusal for group in facts.groups if group.refusal)
    for reason in reasons:
        names = [group.name or group.jid for group in facts.groups if group.refusal == reason]
        sentence = f"{_listed(names)}: {reason}"
        yield Finding("group", "problem", sentence, _here(facts, "/groups"))


def _listed(names: Sequence[str]) -> str:
    """Some of them, and how many more."""
    more = len(names) - _NAMED
    shown = ", ".join(f"“{name}”" for name in names[:_NAMED])
    return f"{shown} and {more:,} more" if more > 0 else shown


def _variables(facts: Facts) -> Iterator[Finding]:
    places = {(each.text, each.template_id): each for each in facts.unresolved}
    for each in places.values():
        sentence = f"{each.sentence} In “{each.template}”, in the step “{each.step}”."
        link = _here(facts, "/variables") if each.variable else f"/templates/{each.template_id}"
        yield Finding("variable", "problem", sentence, link)
    if facts.stale:
        messages = (
            "1 scheduled message has"
            if facts.stale == 1
            else (f"{facts.stale:,} scheduled messages have")
        )
        sentence = f"{messages} an older text than the template and the values make now."
        yield Finding("stale_text", "warning", sentence, _here(facts))


def _media(facts: Facts) -> Iterator[Finding]:
    templates = {step.template_id: step for step in facts.event.steps}
    for template_id, why in facts.media.items():
        name = templates[template_id].template_name
        yield Finding("media", "problem", f"“{name}”: {why}", f"/templates/{template_id}")


def _schedule(facts: Facts) -> Iterator[Finding]:
    count = facts.unscheduled
    if count and facts.event.number_id is not None:
        messages = "1 message is" if count == 1 else f"{count:,} messages are"
        sentence = f"{messages} not scheduled yet: run the sequence."
        yield Finding("not_scheduled", "problem", sentence, _here(facts))


def _pace(facts: Facts) -> Iterator[Finding]:
    steps = {step.id: step for step in facts.event.steps}
    for estimate in facts.estimates:
        step = steps.get(estimate.step_id)
        if step is None:
            continue
        link = "/settings/connection"
        if estimate.too_late:
            yield Finding("too_slow", "problem", _too_slow(step, estimate), link)
        elif estimate.runs_into is not None and estimate.runs_into in steps:
            yield Finding("overlap", "warning", _overlap(step, estimate, steps), link)


def _too_slow(step: StepView, estimate: Estimate) -> str:
    return (
        f"“{step.title}”: about {estimate.too_late:,} of {estimate.messages:,} messages would be "
        f"too late. They take {_minutes(estimate)}, and are useful for "
        f"{step.timing.late_minutes} minutes."
    )


def _overlap(step: StepView, estimate: Estimate, steps: Mapping[UUID, StepView]) -> str:
    assert estimate.runs_into is not None
    return (
        f"“{step.title}” takes {_minutes(estimate)}, and is not finished when "
        f"“{steps[estimate.runs_into].title}” begins."
    )


def _minutes(estimate: Estimate) -> str:
    return "about a minute" if estimate.minutes == 1 else f"about {estimate.minutes:,} minutes"
