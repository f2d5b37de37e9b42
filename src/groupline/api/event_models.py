"""What workshops and webinars look like over the API."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from groupline.api.event_times import Clocks, TimeNoteOut, time_notes
from groupline.events.preflight import FindingCode, Severity
from groupline.events.preflight_store import Looked
from groupline.events.rules import clock_note, times_of
from groupline.events.schemas import (
    MAX_TITLE,
    Edited,
    EventGroupView,
    EventView,
    MovePlan,
    PastRule,
    ReadinessKey,
    Refreshed,
    RunResult,
    StepView,
)
from groupline.http.schemas import ApiModel, Moment
from groupline.messages.schemas import DisplayState
from groupline.messages.service import MAX_CONTENT, MAX_GROUPS
from groupline.models import EventKind, EventStatus, MediaType

_START = "2026-03-04T19:00:00+05:30"
_NAIVE = "Without an offset: in the organization's zone"


class EventIn(ApiModel):
    title: str = Field(min_length=1, max_length=MAX_TITLE, examples=["Pottery for beginners"])
    starts_at: Moment = Field(description=_NAIVE, examples=[_START])
    ends_at: Moment | None = Field(None, description=_NAIVE, examples=["2026-03-04T21:00:00+05:30"])
    timezone: str | None = Field(
        None, description="Of its wall clock; without it the organization's", examples=["UTC"]
    )
    number_id: UUID | None = Field(None, description="The number that sends")
    sequence_id: UUID | None = None
    group_ids: list[UUID] = Field(default_factory=list, max_length=MAX_GROUPS)
    variables: dict[str, str] = Field(
        default_factory=dict, examples=[{"zoom_link": "https://example.org/zoom"}]
    )


class EventChangesIn(ApiModel):
    """What is left out stays. The time of an event with pending messages: `reschedule`."""

    title: str | None = Field(None, min_length=1, max_length=MAX_TITLE, examples=["Pottery"])
    starts_at: Moment | None = Field(None, description=_NAIVE)
    ends_at: Moment | None = Field(None, description=f"{_NAIVE}; null: no end")
    timezone: str | None = None
    number_id: UUID | None = Field(None, description="Pending messages follow to it")
    sequence_id: UUID | None = Field(
        None, description="Pending messages of the old one are cancelled"
    )
    dry_run: bool = Field(False, description="Only say what would follow for its messages")


class GroupsIn(ApiModel):
    group_ids: list[UUID] = Field(max_length=MAX_GROUPS, description="All groups it is to have")
    cancel_messages: bool = Field(
        False, description="Cancel the pending messages of groups that are taken out"
    )


class VariablesIn(ApiModel):
    values: dict[str, str] = Field(
        description="All values it is to have", examples=[{"zoom_link": "https://example.org/z"}]
    )


class RunIn(ApiModel):
    include_cancelled: bool = Field(
        False, description="Also what a person has cancelled message by message"
    )


class RescheduleIn(ApiModel):
    starts_at: Moment = Field(description=_NAIVE, examples=[_START])
    ends_at: Moment | None = Field(None, description="Without it, it stays as long as it was")
    timezone: str | None = None
    past: PastRule = Field(
        "cancel",
        description="Messages whose new time is over: `cancel` them, or `send` at once those "
        "that are still useful",
    )
    dry_run: bool = Field(True, description="Only say what would happen")


class RefreshIn(ApiModel):
    dry_run: bool = Field(True, description="Only count")


class DuplicateIn(ApiModel):
    title: str | None = Field(None, min_length=1, max_length=MAX_TITLE)
    starts_at: Moment | None = Field(None, description=_NAIVE, examples=[_START])


class SendIn(ApiModel):
    """A text with the variables of the event, or a template."""

    content: str = Field("", max_length=MAX_CONTENT, examples=["We are live: {zoom_link}"])
    media_url: str | None = None
    media_type: MediaType | None = None
    template_id: UUID | None = Field(None, description="Instead of content and media")
    group_ids: list[UUID] | None = Field(
        None, max_length=MAX_GROUPS, description="Some of its groups; without it: all"
    )


class ReadinessOut(ApiModel):
    key: ReadinessKey
    done: bool
    sentence: str = Field(description="What is there, or what is missing")


class EventOut(ApiModel):
    id: UUID
    kind: EventKind
    title: str
    starts_at: datetime
    ends_at: datetime | None
    timezone: str
    status: EventStatus
    number_id: UUID | None
    phone_number: str | None
    sequence_id: UUID | None
    sequence_name: str | None
    groups: int = Field(description="How many")
    ready: bool
    readiness: list[ReadinessOut]
    counts: dict[DisplayState, int] = Field(description="Its messages by state")
    created_by: str | None
    created_at: datetime
    updated_at: datetime


class EventStepOut(ApiModel):
    step_id: UUID
    title: str
    when: str = Field(examples=["10 minutes before the start"])
    due_at: datetime
    note: str | None = Field(description="What a change of the clocks does to it")
    expires_at: datetime = Field(description="Until then a message of it is useful")
    template_id: UUID
    template: str


class EventDetail(EventOut):
    steps: list[EventStepOut]
    stale_texts: int = Field(
        description="Pending messages whose template or values have changed: `refresh-texts`"
    )
    time_notes: list[TimeNoteOut] = Field(
        description="What a change of the clocks does to its start and end"
    )


class EventGroupOut(ApiModel):
    id: UUID
    name: str | None
    jid: str
    pending: int = Field(description="Messages to it that have not left")
    sendable: bool
    not_sendable_because: str | None


class EventEdited(EventDetail):
    moved_messages: int = Field(description="Pending ones that the new number sends now")
    cancelled_messages: int = Field(description="Pending ones of the sequence it had before")
    not_member: list[EventGroupOut] = Field(description="Groups that this number cannot write to")
    committed: bool = Field(description="Not by a dry run: then the rest is as it was")


class GroupsOut(ApiModel):
    added: int
    removed: int
    total: int
    cancelled_messages: int


class EventVariableOut(ApiModel):
    name: str
    value: str | None
    needed: bool = Field(description="A text of the sequence names it")
    steps: list[str] = Field(description="Where")


class VariablesOut(ApiModel):
    items: list[EventVariableOut]
    stale_texts: int


class UnresolvedOut(ApiModel):
    text: str
    variable: str | None
    sentence: str
    step_id: UUID
    step: str
    template_id: UUID
    template: str


class RefusedGroupOut(ApiModel):
    id: UUID
    name: str | None
    code: str
    reason: str


class RunOut(ApiModel):
    """The counts are of messages, and add up to steps times groups."""

    scheduled: int = Field(examples=[200])
    already: int
    skipped_past: int = Field(description="Their time is over")
    cancelled: int = Field(description="Cancelled one by one before, and left so")
    refused: int = Field(description="To groups that the number cannot write to now")
    refused_groups: list[RefusedGroupOut]
    unresolved: list[UnresolvedOut] = Field(
        description="Empty: a text without a value refuses the run with 422, which lists them"
    )


class MovedStepOut(ApiModel):
    step_id: UUID
    title: str
    when: str
    messages: int
    old_times: list[datetime]
    new_time: datetime
    new_expiry: datetime
    fate: Literal["moves", "stays", "sends_now", "cancelled"]
    note: str | None = Field(description="What a change of the clocks does to the new time")


class MovePlanOut(ApiModel):
    old_start: datetime
    new_start: datetime
    time_notes: list[TimeNoteOut] = Field(
        description="What a change of the clocks does to the new start and end"
    )
    steps: list[MovedStepOut]
    moved: int
    sent_now: int
    cancelled: int
    untouched: int = Field(description="Messages that have left already, or are on their way")
    texts: int = Field(description="How many of the moved ones get another text")
    committed: bool


class RefreshedOut(ApiModel):
    messages: int
    events: int
    unresolved: list[UnresolvedOut] = Field(description="What the new text lacks")
    kept: int = Field(description="Messages that keep their old text, as the new one lacks a value")
    committed: bool


class CancelledEventOut(EventDetail):
    cancelled_messages: int


class SentOut(ApiModel):
    scheduled: int = Field(description="How many rows were committed")
    message_ids: list[UUID]


class FindingOut(ApiModel):
    code: FindingCode
    severity: Severity
    sentence: str
    link: str = Field(description="Where it can be put right, in the dashboard")


class PreflightOut(ApiModel):
    ready: bool = Field(description="Without problems; warnings may remain")
    checked_at: datetime
    findings: list[FindingOut]


# --- out of the views -----------------------------------------------------------------------


def event_facts(view: EventView) -> dict[str, Any]:
    facts = {name: getattr(view, name) for name in EventOut.model_fields if hasattr(view, name)}
    readiness = [
        ReadinessOut(key=step.key, done=step.done, sentence=step.sentence)
        for step in view.readiness
    ]
    return facts | {"ready": view.is_ready, "readiness": readiness, "counts": dict(view.counts)}


def event_out(view: EventView) -> EventOut:
    return EventOut(**event_facts(view))


def detail_facts(view: EventView, stale: int, clocks: Clocks | None = None) -> dict[str, Any]:
    """``clocks`` is known from reading the times of a request."""
    return event_facts(view) | {
        "steps": [_step_out(view, step) for step in view.steps],
        "stale_texts": stale,
        "time_notes": time_notes(view.facts, clocks),
    }


def _step_out(view: EventView, step: StepView) -> EventStepOut:
    due, expires = times_of(view, step)
    return EventStepOut(
        step_id=step.id,
        title=step.title,
        when=step.when,
        due_at=due,
        note=clock_note(view, step),
        expires_at=expires,
        template_id=step.template_id,
        template=step.template_name,
    )


def group_out(view: EventGroupView) -> EventGroupOut:
    return EventGroupOut(
        id=view.id,
        name=view.name,
        jid=view.jid,
        pending=view.pending,
        sendable=view.refusal is None,
        not_sendable_because=view.refusal,
    )


def edited_out(
    view: EventView, stale: int, edited: Edited, clocks: Clocks | None = None
) -> EventEdited:
    return EventEdited(
        **detail_facts(view, stale, clocks),
        moved_messages=edited.moved_messages,
        cancelled_messages=edited.cancelled_messages,
        not_member=[group_out(each) for each in edited.not_member],
        committed=edited.committed,
    )


def run_out(result: RunResult) -> RunOut:
    refused = [
        RefusedGroupOut(id=each.group_id, name=each.name, code=each.code, reason=each.reason)
        for each in result.refused_groups
    ]
    return RunOut(
        scheduled=result.scheduled,
        already=result.already,
        skipped_past=result.skipped_past,
        cancelled=result.cancelled,
        refused=result.refused,
        refused_groups=refused,
        unresolved=[],
    )


def move_out(plan: MovePlan, notes: list[TimeNoteOut]) -> MovePlanOut:
    return MovePlanOut(
        old_start=plan.old_start,
        new_start=plan.new_start,
        time_notes=notes,
        steps=[MovedStepOut.model_validate(step) for step in plan.steps],
        moved=plan.count("moves"),
        sent_now=plan.count("sends_now"),
        cancelled=plan.count("cancelled"),
        untouched=plan.untouched,
        texts=plan.texts,
        committed=plan.committed,
    )


def refreshed_out(refreshed: Refreshed) -> RefreshedOut:
    return RefreshedOut(
        messages=refreshed.messages,
        events=refreshed.events,
        unresolved=[UnresolvedOut.model_validate(each) for each in refreshed.unresolved],
        kept=refreshed.kept,
        committed=refreshed.committed,
    )


def preflight_out(looked: Looked) -> PreflightOut:
    return PreflightOut(
        ready=looked.problems == 0,
        checked_at=looked.checked_at,
        findings=[FindingOut.model_validate(each) for each in looked.findings],
    )
