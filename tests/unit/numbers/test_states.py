"""One state, one sentence, one next action for whatever is known of a number."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from groupline.gateways.outcomes import FailureKind
from groupline.models import EndedReason
from groupline.numbers.states import (
    NextAction,
    NumberFacts,
    NumberState,
    ended_sentence,
    gateway_sentence,
    show,
)

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
