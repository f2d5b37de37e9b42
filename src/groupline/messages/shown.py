"""What people see of a message: its state in one word, one sentence, and what can be done."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.messages.schemas import DisplayState, MessageView
from groupline.messages.waiting import OTHERS_FIRST, Lane, is_clear_by, lanes, obstacle

PersonAction = Literal["cancel", "send_again", "discard", "it_arrived", "not_arrived", "call_off"]
"""``call_off`` says that an uncertain message did not arrive, where it is not sent again."""


@dataclass(frozen=True, slots=True)
class Shown:
    state: DisplayState
    sentence: str
    actions: tuple[PersonAction, ...]
    next_attempt_at: datetime | None = None
    """Not tried again before, where that is known. What is over is not said."""


async def all_shown(
    session: AsyncSession, views: Sequence[MessageView], now: datetime
) -> list[tuple[MessageView, Shown]]:
    """What hangs on a number is told by the state of that."""
    hanging = {view.number_id for view in views if view.status in ("pending", "sending")}
    known = await lanes(session, hanging, now)
    return [(view, shown(view, known.get(view.number_id), now)) for view in views]


def shown(view: MessageView, lane: Lane | None, now: datetime) -> Shown:
    """``lane`` is the state of the message's number, where it is known."""
    state: DisplayState
    sentence: str
    actions: tuple[PersonAction, ...] = ()
    match view.status:
        case "pending":
            return replace(_pending(view, lane, now), next_attempt_at=_next(view, lane, now))
        case "sending":
            state, sentence = "sending", _under_way(lane)
        case "accepted":
            state, sentence = "accepted", "The gateway has taken it; its report is awaited."
        case "sent":
            state, sentence = "sent", _sent(view)
        case "uncertain":
            state, sentence, actions = _uncertain(view)
        case "failed":
            state, sentence, actions = "failed", _why(view), (*_again(view), "discard")
        case "expired":
            state, sentence, actions = "expired", _why(view), _again(view)
        case "cancelled":
            state, sentence = "cancelled", _ended(view)
        case _:
            assert_never(view.status)
    return Shown(state, sentence, actions)


def _under_way(lane: Lane | None) -> str:
    if lane is not None and not lane.is_worked:
        found_out = "what became of it is found out when one runs"
        return f"Its request was begun, and no worker is running: {found_out}."
    return "It is being handed to the gateway."


def _uncertain(view: MessageView) -> tuple[DisplayState, str, tuple[PersonAction, ...]]:
    if view.campaign_status == "cancelled":
        sentence = f"{_why(view)} Its campaign was cancelled, so it is not sent again."
        return "uncertain", sentence, ("it_arrived", "call_off")
    sentence = f"{_why(view)} It is not sent again until that is clear."
    return "uncertain", sentence, ("it_arrived", "not_arrived")


def _again(view: MessageView) -> tuple[PersonAction, ...]:
    """What a campaign has called off is not sent again."""
    return () if view.campaign_status == "cancelled" else ("send_again",)


def _ended(view: MessageView) -> str:
    """What was called off for a reason has its code; what failed and was put away, only why."""
    if view.error_message is not None:
        away = "" if view.error_code else "It failed and was put away. "
        return f"{away}{view.error_message}"
    if view.sent_at is not None:  # put away by a version that did not keep why it had failed
        return "It was put away after WhatsApp rejected it."
    return "It was called off."


def _why(view: MessageView) -> str:
    return view.error_message or "The reason is not known."


def _pending(view: MessageView, lane: Lane | None, now: datetime) -> Shown:
    if view.scheduled_for > now:
        return Shown("scheduled", _planned(lane), ("cancel",))
    return Shown("waiting", _waits_for(view, lane, now), ("cancel",))


def _next(view: MessageView, lane: Lane | None, now: datetime) -> datetime | None:
    """Its own time after a failure, and that of its number's lane where something holds it. Where
    something stands in the way of which nobody knows the end, there is none."""
    times = [view.next_attempt_at]
    if lane is not None and view.scheduled_for <= now:
        times += [lane.restricted_until, lane.free_at if lane.hold_reason else None]
    at = max((each for each in times if each is not None and each > now), default=None)
    if at is None or _campaign_stands(view) or (lane is not None and obstacle(lane, at)):
        return None
    return at


def _campaign_stands(view: MessageView) -> bool:
    return view.campaign_status in ("paused", "cancelled")


def _planned(lane: Lane | None) -> str:
    """Only a person ends a pause; whatever else is in the way now may be over by then."""
    if lane is not None and lane.paused_at is not None:
        return "It goes out at its time if sending from its number is resumed by then."
    return "It goes out at its time."


def _waits_for(view: MessageView, lane: Lane | None, now: datetime) -> str:
    """What stands in the way longest."""
    if _campaign_stands(view):
        return f"Its campaign is {view.campaign_status}."
    again = view.next_attempt_at
    if again is not None and again > now and (lane is None or is_clear_by(lane, now, again)):
        return f"{_why(view)} It is tried again shortly."
    reason = obstacle(lane, now) if lane is not None else None
    if reason is not None:
        return reason
    return "It is next." if lane is not None and lane.next_id == view.id else OTHERS_FIRST


def _sent(view: MessageView) -> str:
    if view.rests_on_a_word and view.first_receipt_at is None:
        return _on_the_word_of(view)
    if view.first_receipt_at is None:
        return "It was sent; no receipts have come yet."
    if view.read_by:
        return f"It was sent, delivered to {view.got_by} and read by {view.read_by}."
    return f"It was sent, and delivered to {view.got_by}."


def _on_the_word_of(view: MessageView) -> str:
    """Nothing but a person, or a program of theirs, says that it arrived."""
    kind, name = (view.resolved_by or "").partition(":")[0], view.resolved_by_name
    if kind == "api_key":
        return f"It arrived, as a program said by {f'the {name}' if name else 'an API key'}."
    if kind == "system":
        return "It arrived, as somebody said on the command line."
    return f"{name or 'A person'} has seen it in the group."
