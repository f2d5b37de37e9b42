"""One state, one sentence, one next action for whatever is known of a number."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from groupline.gateways.outcomes import FailureKind
from groupline.models import EndedReason, SessionObstacle
from groupline.numbers.states import (
    Cause,
    NextAction,
    NumberFacts,
    NumberState,
    Pause,
    ended_sentence,
    gateway_sentence,
    show,
)
from groupline_gateway.engines.whatsmeow import changes

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CONNECTED = NumberFacts(session_status="connected", verified_at=NOW, gateway_name="VPS")
SILENT = replace(
    CONNECTED, unacknowledged=3, unacknowledged_for=timedelta(minutes=5), has_receipts=True
)


@pytest.mark.parametrize(
    ("facts", "state", "action"),
    [
        (NumberFacts(None), NumberState.NEVER_CONNECTED, NextAction.CONNECT),
        (
            NumberFacts(None, was_connected=True),
            NumberState.DISCONNECTED,
            NextAction.RECONNECT,
        ),
        (NumberFacts(None, pairing_under_way=True), NumberState.CONNECTING, NextAction.WAIT),
        (NumberFacts("connecting"), NumberState.CONNECTING, NextAction.WAIT),
        (NumberFacts("qr_pending"), NumberState.CONNECTING, NextAction.WAIT),
        (
            NumberFacts("disconnected", ended_reason="logged_out"),
            NumberState.DISCONNECTED,
            NextAction.RECONNECT,
        ),
        (
            NumberFacts("disconnected", ended_reason="logged_out", pairing_under_way=True),
            NumberState.CONNECTING,
            NextAction.WAIT,
        ),
        (
            NumberFacts("disconnected", ended_reason="user", gateway_down=True),
            NumberState.DISCONNECTED,
            NextAction.RECONNECT,
        ),
        (CONNECTED, NumberState.CONNECTED, NextAction.NONE),
        (
            replace(CONNECTED, slow_until=NOW + timedelta(seconds=1)),
            NumberState.CONNECTED,
            NextAction.WAIT,
        ),
        (replace(CONNECTED, slow_until=NOW), NumberState.CONNECTED, NextAction.NONE),
        (replace(CONNECTED, asked_again=True), NumberState.VERIFYING, NextAction.WAIT),
        (
            replace(CONNECTED, gateway_down=True, asked_again=True),
            NumberState.GATEWAY_UNREACHABLE,
            NextAction.CHECK_GATEWAY,
        ),
        (replace(SILENT, unacknowledged=2), NumberState.CONNECTED, NextAction.NONE),
        (SILENT, NumberState.SUSPECT, NextAction.CHECK_PHONE),
        (
            replace(SILENT, unacknowledged_for=timedelta(minutes=4, seconds=59)),
            NumberState.CONNECTED,
            NextAction.NONE,
        ),
        (replace(SILENT, has_receipts=False), NumberState.CONNECTED, NextAction.NONE),
        (
            replace(CONNECTED, restriction="restricted"),
            NumberState.RESTRICTED,
            NextAction.CHECK_PHONE,
        ),
        (
            replace(CONNECTED, restriction="restricted", restricted_until=NOW),
            NumberState.CONNECTED,
            NextAction.NONE,
        ),
        (
            replace(
                CONNECTED, restriction="restricted", restricted_until=NOW + timedelta(seconds=1)
            ),
            NumberState.RESTRICTED,
            NextAction.CHECK_PHONE,
        ),
    ],
)
def test_the_table(facts: NumberFacts, state: NumberState, action: NextAction) -> None:
    shown = show(facts, NOW)
    assert (shown.state, shown.next_action) == (state, action)
    assert shown.sentence.endswith(".")


def test_a_disconnection_says_why_in_the_gateways_words_or_ours() -> None:
    known = NumberFacts("disconnected", ended_reason="logged_out")
    assert show(known, NOW).sentence.startswith("The phone was logged out.")
    told = replace(known, last_error="The gateway does not know this session.")
    assert show(told, NOW).sentence.startswith("The gateway does not know this session.")


def test_every_reason_and_every_failure_has_its_own_sentence() -> None:
    reasons: tuple[EndedReason, ...] = get_args(EndedReason)
    assert len({ended_sentence(reason) for reason in reasons}) == len(reasons)
    assert len({gateway_sentence("VPS", kind) for kind in FailureKind}) == len(FailureKind)
    assert gateway_sentence(None, "new") == "The gateway does not answer as it should."


def test_a_gateway_that_cannot_speak_of_it_is_no_connection_that_was_verified() -> None:
    said = "The gateway cannot say how this session is: The gateway answered 500."
    facts = replace(CONNECTED, not_said=said, verified_at=NOW - timedelta(seconds=200))
    shown = show(facts, NOW)
    assert shown.state == NumberState.VERIFYING
    assert shown.sentence == f"Connected when last asked, 3 min ago. {said}"
    just_now = show(replace(facts, verified_at=NOW - timedelta(seconds=59)), NOW)
    assert just_now.sentence.startswith("Connected when last asked, less than a minute ago. ")
    assert show(replace(facts, gateway_down=True), NOW).state == NumberState.GATEWAY_UNREACHABLE


# --- ends that no reconnect undoes ----------------------------------------------------------

ENDED = NumberFacts("disconnected", was_connected=True, ended_reason="disconnected")
LATER = NOW + timedelta(hours=9)


@pytest.mark.parametrize(
    ("obstacle", "cause", "label", "action"),
    [
        ("outdated", Cause.OUTDATED, "Needs an update", NextAction.UPDATE),
        (
            "whatsapp_unreachable",
            Cause.WHATSAPP_UNREACHABLE,
            "WhatsApp unreachable, trying again",
            NextAction.WAIT,
        ),
        ("trying", Cause.TRYING, "Not connected, trying again", NextAction.WAIT),
        (None, None, "Disconnected – reconnect needed", NextAction.RECONNECT),
    ],
)
def test_what_is_in_the_way_decides_what_helps(
    obstacle: SessionObstacle | None, cause: Cause | None, label: str, action: NextAction
) -> None:
    """Whatever the gateway said in words."""
    shown = show(replace(ENDED, obstacle=obstacle, last_error=changes.OUTDATED), NOW)
    assert (shown.state, shown.cause) == (NumberState.DISCONNECTED, cause)
    assert (shown.label, shown.until, shown.next_action) == (label, None, action)


@pytest.mark.parametrize("until", [LATER, None])
def test_a_ban_is_waited_for(until: datetime | None) -> None:
    sentence = changes.banned_sentence(until)
    facts = replace(ENDED, last_error=sentence, obstacle="banned")
    facts = replace(facts, restriction="banned", restricted_until=until)
    shown = show(facts, NOW)
    assert (shown.state, shown.cause) == (NumberState.DISCONNECTED, Cause.BANNED)
    assert (shown.label, shown.until, shown.next_action) == ("Banned", until, NextAction.WAIT)


def test_a_ban_that_is_over_or_that_nobody_waits_for_needs_a_reconnect() -> None:
    sentence = changes.banned_sentence(NOW)
    over = replace(ENDED, last_error=sentence, obstacle="banned")
    over = replace(over, restriction="banned", restricted_until=NOW)
    by_us = replace(over, ended_reason="user", restricted_until=LATER)
    lifted = replace(over, restriction=None, restricted_until=None)
    for facts in (over, by_us, lifted):
        shown = show(facts, NOW)
        assert (shown.cause, shown.next_action) == (None, NextAction.RECONNECT)


def test_what_somebody_disconnected_here_is_not_being_tried() -> None:
    shown = show(replace(ENDED, ended_reason="user", obstacle="whatsapp_unreachable"), NOW)
    assert (shown.cause, shown.next_action) == (None, NextAction.RECONNECT)


def test_every_state_has_its_own_label() -> None:
    labels = {state.label for state in NumberState}
    assert len(labels) == len(NumberState)
    assert show(CONNECTED, NOW).label == "Connected"


# --- a number that somebody has paused ------------------------------------------------------

IST = ZoneInfo("Asia/Kolkata")
PAUSE = Pause(NOW, "Asha", waiting=3)
PAUSED = "Paused since 2 Mar, 17:30 IST by Asha: nothing is sent. 3 messages wait."


@pytest.mark.parametrize(
    ("pause", "said"),
    [
        (PAUSE, PAUSED),
        (Pause(NOW, "Asha", waiting=1), "by Asha: nothing is sent. 1 message waits."),
        (Pause(NOW, "Asha"), "by Asha: nothing is sent. No message waits."),
        (Pause(NOW), "Paused since 2 Mar, 17:30 IST: nothing is sent."),
    ],
)
def test_a_pause_says_since_when_by_whom_and_what_waits(pause: Pause, said: str) -> None:
    assert said in show(replace(CONNECTED, pause=pause, zone=IST), NOW).sentence


def test_a_paused_number_is_shown_as_connected_as_it_is() -> None:
    shown = show(replace(CONNECTED, pause=PAUSE, zone=IST), NOW)
    assert (shown.state, shown.next_action) == (NumberState.CONNECTED, NextAction.RESUME)
    assert shown.sentence == f"{PAUSED} The number is connected."
    assert "ready" not in shown.sentence


@pytest.mark.parametrize(
    "facts",
    [
        ENDED,
        SILENT,
        replace(CONNECTED, asked_again=True),
        replace(CONNECTED, gateway_down=True),
        replace(CONNECTED, restriction="spam", restricted_until=LATER),
    ],
)
def test_a_pause_hides_nothing_of_the_connection(facts: NumberFacts) -> None:
    plain = show(facts, NOW)
    paused = show(replace(facts, pause=PAUSE), NOW)
    assert (paused.state, paused.next_action) == (plain.state, plain.next_action)
    assert paused.connection == plain.connection
    assert paused.sentence == f"{paused.pause} {plain.connection}"
    assert "Messages wait" not in paused.sentence, "they wait for the pause"


# --- what messages wait for, and until when -------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "waits"),
    [
        (ENDED, "until it is connected again"),
        (NumberFacts("connecting"), "until it is connected"),
        (NumberFacts(None), "until it is connected"),
        (replace(CONNECTED, gateway_down=True), "until it answers"),
        (CONNECTED, None),
        (SILENT, None),
        (
            replace(CONNECTED, restriction="spam", restricted_until=LATER),
            "until the restriction is over",
        ),
        (replace(CONNECTED, restriction="spam"), None),
        (
            replace(CONNECTED, restriction="spam", tried_again_at=LATER, zone=IST),
            "for the next try, at 3 Mar, 02:30 IST",
        ),
        (
            replace(CONNECTED, restriction="spam", tried_again_at=LATER, is_worked=False),
            "until a worker runs",
        ),
        (replace(CONNECTED, restriction="spam", tried_again_at=NOW), None),
    ],
)
def test_messages_wait_for_what_is_in_the_way(facts: NumberFacts, waits: str | None) -> None:
    shown = show(facts, NOW)
    assert shown.waits == waits
    if waits is not None and shown.next_try is None:
        assert shown.sentence == f"{shown.connection} Messages wait {waits}."
    else:
        assert "Messages wait" not in shown.sentence


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("restricted", "until 3 Mar, 02:30 IST. Messages"),
        ("spam", "until 3 Mar, 02:30 IST (spam). Messages"),
        ("Too many new chats.", "until 3 Mar, 02:30 IST. Too many new chats. Messages"),
    ],
)
def test_a_restriction_names_its_end_in_the_zone_of_the_reader(why: str, said: str) -> None:
    facts = replace(CONNECTED, restriction=why, restricted_until=LATER, zone=IST)
    shown = show(facts, NOW)
    assert shown.sentence.startswith(f"WhatsApp restricts what this number may send {said}")
    assert shown.until == LATER


def test_a_restriction_without_an_end_names_the_next_try_and_no_end() -> None:
    facts = replace(CONNECTED, restriction="restricted", tried_again_at=LATER, zone=IST)
    shown = show(facts, NOW)
    said = "WhatsApp restricts what this number may send."
    assert shown.sentence == f"{said} The next try is at 3 Mar, 02:30 IST."
    assert shown.until is None
    assert show(replace(facts, pause=PAUSE), NOW).sentence.endswith(f"messages wait. {said}")
    assert show(replace(facts, is_worked=False), NOW).next_try is None


def test_where_no_worker_runs_nobody_is_said_to_ask() -> None:
    facts = replace(CONNECTED, asked_again=True, is_worked=False)
    none = "No worker is running: nobody asks the gateway, and nothing is sent, until one runs."
    shown = show(facts, NOW + timedelta(minutes=12))
    assert shown.sentence == f"Connected when last asked, 12 min ago. {none}"
    assert (shown.state, shown.label) == (NumberState.VERIFYING, "Not verified")
    doubted = show(replace(facts, doubt="The gateway lost it."), NOW)
    assert doubted.sentence == f"The gateway lost it. {none}"
    assert show(replace(facts, is_worked=True), NOW).label == "Verifying…"


def test_a_ban_names_its_end_in_the_zone_of_the_reader() -> None:
    told = changes.banned_sentence(LATER)
    facts = replace(ENDED, last_error=told, obstacle="banned", zone=IST)
    facts = replace(facts, restriction="banned", restricted_until=LATER)
    said = show(facts, NOW).sentence
    assert said.startswith("WhatsApp has banned this number until 3 Mar, 02:30 IST. Messages")
    assert "UTC" not in said
    over = show(facts, LATER).sentence
    assert over.startswith("WhatsApp had banned this number until 3 Mar, 02:30 IST. Messages")
    endless = replace(facts, last_error=changes.banned_sentence(None), restricted_until=None)
    assert show(endless, NOW).sentence.startswith(changes.banned_sentence(None))
