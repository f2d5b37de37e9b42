"""Which answer to a send means what. `Sent` needs an id, `NotSent` needs the gateway's word."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateways.junk import JSON

from groupline.gateways.drivers.groupline_messages import SendAnswer, lookup_answer, send_outcome
from groupline.gateways.drivers.parsing import NO_JSON, error_text
from groupline.gateways.outcomes import (
    Accepted,
    Found,
    LookupUnknown,
    NotFound,
    NotSent,
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
    UncertainReason,
)


def answered(status: int, document: object) -> SendOutcome:
    return send_outcome(SendAnswer(status, document, lambda: error_text(document) or ""))


@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        ({"success": True, "messageId": "3EB0A1"}, Sent("3EB0A1")),
        ({"success": "true", "messageId": "3EB0A1"}, Sent("3EB0A1")),
        ({"messageId": "3EB0A1"}, Sent("3EB0A1")),
        ({"success": True, "messageId": 17}, Sent("17")),
        ({"key": {"id": "3EB0A1"}}, Sent("3EB0A1")),
        ({"success": True, "messageId": "A", "existing": True}, Sent("A", existing=True)),
        ({"success": True, "accepted": True}, Accepted()),
        ({"success": True, "accepted": True, "messageId": "A"}, Accepted("A")),
        ({"accepted": True}, Accepted()),
    ],
)
def test_a_success(document: object, outcome: SendOutcome) -> None:
    assert answered(200, document) == outcome
    assert answered(201, document) == outcome


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"success": False}, NotSentReason.REJECTED),
        ({"success": "false"}, NotSentReason.REJECTED),
        ({}, NotSentReason.REJECTED),
        ({"error": "It did not work"}, NotSentReason.REJECTED),
        ({"success": False, "error": "Session is not connected"}, NotSentReason.NOT_CONNECTED),
        ({"success": False, "error": "not a participant"}, NotSentReason.NOT_IN_GROUP),
        ({"success": False, "error": "Only admins can send"}, NotSentReason.NOT_ALLOWED),
        ({"success": False, "error": "rate-overlimit"}, NotSentReason.RATE_LIMITED),
        ({"success": False, "error": "REACHOUT_TIMELOCK"}, NotSentReason.RESTRICTED),
    ],
)
def test_a_success_status_with_a_refusal_inside(document: object, reason: NotSentReason) -> None:
    outcome = answered(200, document)
    assert isinstance(outcome, NotSent)
    assert outcome.reason is reason
    assert outcome.http_status == 200


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"success": True}, UncertainReason.NO_EVIDENCE),
        ({"success": True, "messageId": ""}, UncertainReason.NO_EVIDENCE),
        ({"success": True, "messageId": None}, UncertainReason.NO_EVIDENCE),
        ({"success": True, "messageId": ["A"]}, UncertainReason.NO_EVIDENCE),
        ({"success": False, "messageId": "A"}, UncertainReason.CONTRADICTION),
        ({"success": False, "accepted": True}, UncertainReason.CONTRADICTION),
        ({"error": "it broke", "messageId": "A"}, UncertainReason.CONTRADICTION),
        ({"status": "ok"}, UncertainReason.MALFORMED),
        (NO_JSON, UncertainReason.MALFORMED),
        ([], UncertainReason.MALFORMED),
        (None, UncertainReason.MALFORMED),
        ("sent", UncertainReason.MALFORMED),
    ],
)
def test_a_success_that_proves_nothing(document: object, reason: UncertainReason) -> None:
    outcome = answered(200, document)
    assert isinstance(outcome, Uncertain)
    assert outcome.reason is reason


def test_a_reference_that_was_used_before_is_looked_up_because_that_one_may_have_arrived() -> None:
    words = {"error": "This clientRef was used before, for another text or recipient"}
    outcome = answered(409, words)
    assert isinstance(outcome, Uncertain)
    assert outcome.reason is UncertainReason.REFERENCE_USED


def test_an_empty_document_is_a_refusal_only_under_the_status_that_the_contract_names() -> None:
    assert isinstance(answered(202, {}), Uncertain)


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (400, {"error": "message is required"}, NotSentReason.BAD_REQUEST),
        (400, {"error": "Session wa_1 is not connected"}, NotSentReason.NOT_CONNECTED),
        (400, NO_JSON, NotSentReason.BAD_REQUEST),
        (401, {"error": "Invalid API key"}, NotSentReason.UNAUTHORIZED),
        (401, NO_JSON, NotSentReason.UNAUTHORIZED),
        (403, NO_JSON, NotSentReason.UNAUTHORIZED),
        (403, {"error": "Only admins can post"}, NotSentReason.NOT_ALLOWED),
        (404, {"error": "Session not found"}, NotSentReason.NOT_CONNECTED),
        (404, {"error": "Group not found"}, NotSentReason.NOT_IN_GROUP),
        (404, {"error": "Cannot POST /send"}, NotSentReason.ROUTE_MISSING),
        (404, {"detail": "Not Found"}, NotSentReason.ROUTE_MISSING),
        (404, NO_JSON, NotSentReason.ROUTE_MISSING),
        (405, NO_JSON, NotSentReason.ROUTE_MISSING),
        (400, {"error": "This number is not a member of the group"}, NotSentReason.NOT_IN_GROUP),
        (400, {"error": "Only admins may write in this group"}, NotSentReason.NOT_ALLOWED),
        (400, {"error": "WhatsApp has banned this number"}, NotSentReason.RESTRICTED),
        (409, {"error": "busy"}, NotSentReason.BAD_REQUEST),
        (409, {"error": "session disconnected"}, NotSentReason.NOT_CONNECTED),
        (413, NO_JSON, NotSentReason.BAD_REQUEST),
        (429, NO_JSON, NotSentReason.RATE_LIMITED),
        (429, {"error": "WA_REACHOUT_TIMELOCK"}, NotSentReason.RESTRICTED),
        (301, NO_JSON, NotSentReason.ROUTE_MISSING),
        (308, NO_JSON, NotSentReason.ROUTE_MISSING),
        (503, {"error": "Session not connected"}, NotSentReason.NOT_CONNECTED),
        (503, {"error": "The session is not connected"}, NotSentReason.NOT_CONNECTED),
        (500, {"success": False, "error": "not a participant"}, NotSentReason.NOT_IN_GROUP),
        (500, {"success": False}, NotSentReason.REJECTED),
    ],
)
def test_a_refusal(status: int, document: object, reason: NotSentReason) -> None:
    outcome = answered(status, document)
    assert isinstance(outcome, NotSent)
    assert outcome.reason is reason
    assert outcome.http_status == status


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (500, NO_JSON),
        (500, {}),
        (500, {"error": "Internal error"}),
        (500, {"success": False, "error": "Timed out waiting for the acknowledgement"}),
        (503, {"error": "session not connected: timeout while sending"}),
        (503, NO_JSON),
        (503, {"error": "overloaded"}),
        (502, NO_JSON),
        (504, {"success": True}),
        (500, {"success": False, "messageId": "A"}),
        (408, {"error": "Timed Out"}),
        (302, NO_JSON),
        (303, NO_JSON),
        (101, NO_JSON),
        (600, NO_JSON),
    ],
)
def test_a_status_that_does_not_say_whether_it_was_sent(status: int, document: object) -> None:
    outcome = answered(status, document)
    assert isinstance(outcome, Uncertain)
    assert outcome.http_status == status


@pytest.mark.parametrize(
    ("status", "error", "message", "reason", "detail"),
    [
        (
            400,
            "WhatsApp has banned this number",
            "banned",
            NotSentReason.RESTRICTED,
            "WhatsApp has ••• this number",
        ),
        (429, "WhatsApp restricts you", "restrict", NotSentReason.RESTRICTED, "WhatsApp •••s you"),
        (400, "too many messages", "too many", NotSentReason.RATE_LIMITED, "••• messages"),
        (200, "not a member", "a member", NotSentReason.NOT_IN_GROUP, "not •••"),
        (403, "Only admins can post", "admins", NotSentReason.NOT_ALLOWED, "Only ••• can post"),
        (404, "Session not found", "Session", NotSentReason.NOT_CONNECTED, "••• not found"),
    ],
)
def test_a_text_that_is_in_the_gateways_words_changes_what_is_kept_and_not_what_it_means(
    status: int, error: str, message: str, reason: NotSentReason, detail: str
) -> None:
    document = {"success": False, "error": error}
    outcome = send_outcome(SendAnswer(status, document, lambda: error, secrets=(message,)))
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.detail) == (reason, detail)


@pytest.mark.parametrize(
    "message", ["not connected", "We are not connected to anybody, and are banned."]
)
def test_a_failure_that_repeats_the_text_does_not_say_that_it_was_not_sent(message: str) -> None:
    error = f'Failed: "{message}"'
    answer = SendAnswer(500, {"error": error}, lambda: error, secrets=(message,))
    outcome = send_outcome(answer)
    assert isinstance(outcome, Uncertain)
    assert outcome.detail == 'Failed: "•••"'


def test_a_refusal_that_repeats_the_text_is_not_understood_by_it() -> None:
    message = "You will be banned if you come too late!"
    error = f"Cannot send {message}"
    answer = SendAnswer(400, {"error": error}, lambda: error, secrets=(message,))
    outcome = send_outcome(answer)
    assert isinstance(outcome, NotSent)
    assert outcome.reason is NotSentReason.BAD_REQUEST


def test_a_text_that_is_in_the_refusal_of_its_reference_is_looked_up_all_the_same() -> None:
    document = {"error": "This clientRef was used before"}
    answer = SendAnswer(409, document, lambda: document["error"], secrets=("clientRef",))
    outcome = send_outcome(answer)
    assert isinstance(outcome, Uncertain)
    assert outcome.reason is UncertainReason.REFERENCE_USED
    assert outcome.detail == "This ••• was used before"


def test_a_refusal_without_words_says_that_there_were_none() -> None:
    outcome = send_outcome(SendAnswer(400, {}, lambda: None))
    assert isinstance(outcome, NotSent)
    assert outcome.detail == "The gateway gave no explanation."


def test_waiting_burns_no_attempt_and_a_verdict_on_the_message_does() -> None:
    burns = {
        reason
        for status, document in [
            (503, {"error": "not connected"}),
            (401, {}),
            (429, {}),
            (404, NO_JSON),
            (200, {"success": False}),
            (400, {"error": "bad"}),
        ]
        if isinstance(outcome := answered(status, document), NotSent) and outcome.counts_as_attempt
        for reason in [outcome.reason]
    }
    assert burns == {NotSentReason.REJECTED, NotSentReason.BAD_REQUEST}


def test_only_what_may_be_answered_otherwise_next_time_is_tried_again() -> None:
    again = {
        outcome.reason: outcome.retryable
        for document in [
            {"success": False},
            {"success": False, "error": "not a participant"},
            {"success": False, "error": "not an admin"},
        ]
        if isinstance(outcome := answered(200, document), NotSent)
    }
    assert again == {
        NotSentReason.REJECTED: True,
        NotSentReason.NOT_IN_GROUP: False,
        NotSentReason.NOT_ALLOWED: False,
    }


@given(st.integers(100, 999), JSON)
def test_no_answer_at_all_breaks_the_driver_or_is_sent_without_an_id(
    status: int, document: object
) -> None:
    outcome = answered(status, document)
    if isinstance(outcome, Sent):
        assert 200 <= status < 300
        assert outcome.message_id in json.dumps(document, ensure_ascii=False)


@given(st.integers(500, 599), JSON)
def test_a_server_error_never_counts_as_sent(status: int, document: object) -> None:
    assert isinstance(answered(status, document), NotSent | Uncertain)


@pytest.mark.parametrize(
    ("document", "exact", "answer"),
    [
        ({"found": False}, True, NotFound()),
        ({"found": False}, False, LookupUnknown("The gateway does not remember it.")),
        ({"found": True, "messageId": "A"}, True, Found("A", by_client_ref=True)),
        ({"found": True, "messageId": "A", "status": "sent"}, False, Found("A", status="sent")),
        (
            {"found": True, "status": "failed", "error": "not a member"},
            True,
            NotFound(detail="not a member"),
        ),
    ],
)
def test_a_look_up(document: object, exact: bool, answer: object) -> None:
    assert lookup_answer(document, exact=exact) == answer


@pytest.mark.parametrize(
    "document",
    [
        {"found": True},
        {"found": True, "status": "pending", "messageId": "A"},
        {"found": None},
        {"error": "what?"},
        {},
        [],
        NO_JSON,
    ],
)
def test_a_look_up_without_a_conclusion(document: object) -> None:
    assert isinstance(lookup_answer(document, exact=True), LookupUnknown)


def test_a_failure_told_by_a_gateway_that_forgets_is_no_conclusion() -> None:
    document = {"found": True, "status": "failed", "messageId": "A"}
    assert isinstance(lookup_answer(document, exact=False), LookupUnknown)


@given(JSON)
def test_no_look_up_without_the_word_found_is_a_no(document: object) -> None:
    answer = lookup_answer(document, exact=True)
    if isinstance(answer, NotFound):
        assert isinstance(document, dict)
        assert "found" in document
