"""What each word of a gateway means in each state: the whole table, and its edges."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.gateways.outcomes import (
    QrCode,
    Restriction,
    SessionConnected,
    SessionConnecting,
    SessionDisconnected,
    SessionQr,
    SessionReading,
    SessionUnknown,
    UnknownWord,
)
from groupline.models import EndedReason, SessionStatus
from groupline.numbers.cadence import next_logout, next_look, with_jitter
from groupline.numbers.deletion import Deletable, NotDeletable, may_clean_up, may_delete
from groupline.numbers.rules import (
    LOGGED_OUT,
    NO_QR_DATA,
    PAIRING_LASTS,
    PAIRING_LOST,
    SESSION_UNKNOWN,
    START_GRACE,
    Confirm,
    Connect,
    ConnectedToNobody,
    Decision,
    Doubt,
    End,
    Hint,
    LogOutAgain,
    Note,
    Outdated,
    PairAnew,
    Pairing,
    SessionFacts,
    ShowQr,
    StartUp,
    decide,
    decide_undated,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PHONE = "919876543210"
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
PERIOD = timedelta(seconds=60)

CONNECTED = SessionConnected(PHONE)
QR = SessionQr(QrCode(text="2@code"))
CONNECTING = SessionConnecting()
GONE = SessionDisconnected()
LOGOUT = SessionDisconnected(reason="logged_out", logged_out=True)
UNKNOWN = SessionUnknown()


def facts(
    status: SessionStatus = "connected",
    *,
    number_known: bool = True,
    age: timedelta = timedelta(hours=1),
    ended: EndedReason | None = None,
    doubted: timedelta | None = None,
    status_age: timedelta = MINUTE,
) -> SessionFacts:
    return SessionFacts(
        status=status,
        status_at=NOW - status_age,
        pairing_started_at=NOW - age,
        number_known=number_known,
        ended_reason=ended,
        doubted_at=None if doubted is None else NOW - doubted,
    )


def decision(known: SessionFacts, reading: SessionReading) -> Decision:
    return decide(known, reading, NOW, NOW)


# --- the order of time ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reading", "disagrees"),
    [
        (CONNECTED, False),
        (GONE, True),
        (UNKNOWN, True),
        (QR, True),
        (CONNECTING, True),
        (UnknownWord("hm"), False),
    ],
)
def test_what_is_older_than_what_is_known_undoes_nothing(
    reading: SessionReading, disagrees: bool
) -> None:
    earlier = NOW - MINUTE - timedelta(microseconds=1)
    assert decide(facts(), reading, earlier, NOW) == Outdated(disagrees=disagrees)


def test_what_is_as_old_as_what_is_known_counts() -> None:
    assert decide(facts(), LOGOUT, NOW - MINUTE, NOW) == End("logged_out", LOGGED_OUT)


@pytest.mark.parametrize(
    ("status", "reading"),
    [("qr_pending", QR), ("connecting", CONNECTING), ("qr_pending", CONNECTING)],
)
def test_an_old_word_that_agrees_needs_no_second_look(
    status: SessionStatus, reading: SessionReading
) -> None:
    known = facts(status, number_known=False)
    assert decide(known, reading, NOW - 2 * MINUTE, NOW) == Outdated(disagrees=False)


def test_an_old_end_agrees_with_an_end() -> None:
    known = facts("disconnected", ended="disconnected")
    assert decide(known, GONE, NOW - 2 * MINUTE, NOW) == Outdated(disagrees=False)
    assert decide(known, CONNECTED, NOW - 2 * MINUTE, NOW) == Outdated(disagrees=True)


# --- while connected ------------------------------------------------------------------------


def test_connected_again_is_a_takeover_that_finds_nothing_to_do() -> None:
    limited = Restriction("restricted")
    reading = SessionConnected(PHONE, restriction=limited)
    assert decision(facts(), reading) == Connect(PHONE, limited)


@pytest.mark.parametrize("reading", [GONE, QR])
def test_a_first_disagreement_is_only_a_doubt(reading: SessionReading) -> None:
    assert isinstance(decision(facts(), reading), Doubt)


@pytest.mark.parametrize(("reading", "reason"), [(GONE, "disconnected"), (QR, "logged_out")])
def test_a_second_one_two_seconds_later_decides(reading: SessionReading, reason: str) -> None:
    assert isinstance(decision(facts(doubted=1.9 * SECOND), reading), Doubt)
    ended = decision(facts(doubted=2 * SECOND), reading)
    assert isinstance(ended, End)
    assert ended.reason == reason


def test_starting_up_is_given_half_a_minute() -> None:
    assert isinstance(decision(facts(), CONNECTING), Doubt)
    assert isinstance(decision(facts(doubted=29 * SECOND), CONNECTING), Doubt)
    ended = decision(facts(doubted=30 * SECOND), CONNECTING)
    assert isinstance(ended, End)
    assert ended.reason == "disconnected"


def test_a_logout_and_an_unknown_session_are_definite() -> None:
    assert decision(facts(), LOGOUT) == End("logged_out", LOGGED_OUT)
    assert decision(facts(), UNKNOWN) == End("unknown_to_gateway", SESSION_UNKNOWN)


def test_the_gateways_words_are_kept() -> None:
    said = SessionDisconnected(reason="connection_lost", detail="stream ended.")
    ended = decision(facts(doubted=3 * SECOND), said)
    assert ended == End(
        "disconnected", "The gateway says that the session is disconnected (stream ended)."
    )
    sentence = "WhatsApp has banned this number until 1 May 2026, 10:00 UTC."
    said = SessionDisconnected(reason="banned", detail=sentence)
    assert decision(facts(doubted=3 * SECOND), said) == End("disconnected", sentence)
    banned = replace(said, restriction=Restriction("banned"))
    assert decision(facts(doubted=3 * SECOND), banned) == End(
        "disconnected", sentence, Restriction("banned")
    )
    bare = decision(facts(doubted=3 * SECOND), GONE)
    assert bare == End("disconnected", "The gateway says that the session is disconnected.")
    why = decision(facts(), SessionDisconnected("logged_out", True, "Removed on the phone"))
    assert why == End("logged_out", "Removed on the phone")


@pytest.mark.parametrize("status", get_args(SessionStatus))
def test_a_word_never_heard_of_changes_nothing(status: SessionStatus) -> None:
    noted = decision(facts(status, ended="logged_out"), UnknownWord("hibernating"))
    assert isinstance(noted, Note)
    assert "hibernating" in noted.detail


# --- while pairing --------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["connecting", "qr_pending"])
class TestANewPairing:
    def facts(self, status: SessionStatus, **more: timedelta | None) -> SessionFacts:
        return facts(status, number_known=False, **more)  # type: ignore[arg-type]

    def test_a_code_is_shown(self, status: SessionStatus) -> None:
        until = NOW + 20 * SECOND
        reading = SessionQr(QrCode(text="2@code"), "ABCD-EFGH", until)
        shown = ShowQr(QrCode(text="2@code"), "ABCD-EFGH", until)
        assert decision(self.facts(status), reading) == shown

    def test_a_scan_connects(self, status: SessionStatus) -> None:
        assert decision(self.facts(status), CONNECTED) == Connect(PHONE, None)

    def test_a_scan_by_nobody_does_not(self, status: SessionStatus) -> None:
        nobody = decision(self.facts(status), SessionConnected(None, raw_phone="12"))
        assert isinstance(nobody, ConnectedToNobody)
        assert "“12”" in nobody.detail
        silent = decision(self.facts(status), SessionConnected(None))
        assert isinstance(silent, ConnectedToNobody)
        assert "does not name" in silent.detail

    def test_starting_up_shows_no_code(self, status: SessionStatus) -> None:
        assert decision(self.facts(status), CONNECTING) == StartUp()

    def test_what_keeps_the_gateway_from_connecting_is_kept(self, status: SessionStatus) -> None:
        reading = SessionConnecting("WhatsApp cannot be reached.")
        assert decision(self.facts(status), reading) == StartUp("WhatsApp cannot be reached.")

    @pytest.mark.parametrize("reading", [GONE, LOGOUT, UNKNOWN])
    def test_at_first_the_gateway_may_not_know_it(
        self, status: SessionStatus, reading: SessionReading
    ) -> None:
        young = START_GRACE - SECOND
        assert isinstance(decision(self.facts(status, age=young), reading), Note)
        assert not isinstance(decision(self.facts(status, age=START_GRACE), reading), Note)

    def test_later_it_has_ended(self, status: SessionStatus) -> None:
        assert decision(self.facts(status), UNKNOWN) == End("unknown_to_gateway", SESSION_UNKNOWN)
        assert decision(self.facts(status), LOGOUT) == End("logged_out", LOGGED_OUT)
        assert isinstance(decision(self.facts(status), GONE), Doubt)
        assert isinstance(decision(self.facts(status, doubted=2 * SECOND), GONE), End)

    def test_the_gateway_may_give_up_first(self, status: SessionStatus) -> None:
        given_up = SessionDisconnected(reason="pairing_expired")
        ended = decision(self.facts(status, age=SECOND), given_up)
        assert ended == End("expired", "Nobody scanned the QR code in time.")


@pytest.mark.parametrize("status", ["connecting", "qr_pending"])
class TestARevivedPairing:
    def test_it_comes_back_under_its_own_number(self, status: SessionStatus) -> None:
        assert decision(facts(status), SessionConnected(None)) == Connect(None, None)

    @pytest.mark.parametrize(
        ("reading", "detail", "reason"),
        [
            (QR, PAIRING_LOST, "logged_out"),
            (LOGOUT, LOGGED_OUT, "logged_out"),
            (UNKNOWN, SESSION_UNKNOWN, "unknown_to_gateway"),
        ],
    )
    def test_what_cannot_be_revived_is_paired_anew(
        self, status: SessionStatus, reading: SessionReading, detail: str, reason: EndedReason
    ) -> None:
        fresh = facts(status, age=PAIRING_LASTS - SECOND)
        assert decision(fresh, reading) == PairAnew(detail)
        assert decision(facts(status, age=PAIRING_LASTS), reading) == End(reason, detail)

    def test_still_disconnected_is_waited_for(self, status: SessionStatus) -> None:
        assert isinstance(decision(facts(status, age=SECOND), GONE), Note)
        given_up = SessionDisconnected(reason="pairing_expired")
        assert isinstance(decision(facts(status, age=MINUTE), given_up), Doubt)


# --- while disconnected ---------------------------------------------------------------------

FOR_GOOD: set[EndedReason] = {
    "replaced",
    "user",
    "cancelled",
    "expired",
    "other_phone",
    "deleted_at_gateway",
}


@pytest.mark.parametrize("reason", get_args(EndedReason))
def test_only_what_the_gateway_ended_comes_back_by_its_word(reason: EndedReason) -> None:
    back = decision(facts("disconnected", ended=reason), CONNECTED)
    assert back == (LogOutAgain() if reason in FOR_GOOD else Connect(PHONE, None))


def test_what_never_had_a_number_needs_one_to_come_back() -> None:
    known = facts("disconnected", ended="unknown_to_gateway", number_known=False)
    assert decision(known, CONNECTED) == Connect(PHONE, None)
    assert isinstance(decision(known, SessionConnected(None)), ConnectedToNobody)


@pytest.mark.parametrize("reading", [QR, CONNECTING, GONE, LOGOUT, UNKNOWN])
def test_what_has_ended_stays_ended(reading: SessionReading) -> None:
    assert decision(facts("disconnected", ended="logged_out"), reading) == Confirm()


# --- rule 4, for all ------------------------------------------------------------------------

READINGS = st.one_of(
    st.builds(SessionConnected, st.sampled_from([PHONE, None])),
    st.just(QR),
    st.just(CONNECTING),
    st.builds(SessionDisconnected, st.none(), st.booleans()),
    st.just(UNKNOWN),
    st.builds(UnknownWord, st.text(min_size=1, max_size=5)),
)
SPANS = st.timedeltas(timedelta(0), timedelta(hours=2))


@given(
    reading=READINGS,
    doubted=st.one_of(st.none(), SPANS),
    ago=SPANS,
    status_age=SPANS,
)
def test_a_connected_session_ends_by_a_definite_word_or_by_two(
    reading: SessionReading,
    doubted: timedelta | None,
    ago: timedelta,
    status_age: timedelta,
) -> None:
    known = facts(doubted=doubted, status_age=status_age)
    decided = decide(known, reading, NOW - ago, NOW)
    if not isinstance(decided, End):
        return
    assert NOW - ago >= known.status_at
    definite = isinstance(reading, SessionUnknown) or (
        isinstance(reading, SessionDisconnected) and reading.logged_out
    )
    assert definite or (known.doubted_at is not None and NOW - ago > known.doubted_at)


@given(
    status=st.sampled_from(get_args(SessionStatus)),
    reason=st.sampled_from(get_args(EndedReason)),
    reading=READINGS,
    known_number=st.booleans(),
    age=SPANS,
)
def test_nothing_but_the_word_connected_connects(
    status: SessionStatus,
    reason: EndedReason,
    reading: SessionReading,
    known_number: bool,
    age: timedelta,
) -> None:
    # The database refuses a connected session without a number.
    known_number = known_number or status == "connected"
    known = facts(status, ended=reason, number_known=known_number, age=age)
    decided = decide(known, reading, NOW, NOW)
    if isinstance(decided, Connect):
        assert isinstance(reading, SessionConnected)
        assert reading.phone is not None or known_number


# --- which pairing wins, when to ask again, what may go -------------------------------------


def test_the_later_request_wins_and_ids_settle_a_tie() -> None:
    assert Pairing(NOW, "a") < Pairing(NOW + SECOND, "A")
    assert Pairing(NOW, "a") < Pairing(NOW, "b")


@pytest.mark.parametrize(
    ("known", "ended_ago", "pause"),
    [
        (facts(), None, PERIOD),
        (facts(doubted=SECOND), None, 3 * SECOND),
        (facts("connecting", age=119 * SECOND), None, 2 * SECOND),
        (facts("qr_pending", age=2 * MINUTE), None, 10 * SECOND),
        (facts("disconnected", ended="logged_out"), MINUTE, PERIOD),
        (facts("disconnected", ended="disconnected"), timedelta(hours=1), 5 * PERIOD),
        (facts("disconnected", ended="disconnected"), timedelta(days=1), 15 * PERIOD),
        (facts("disconnected", ended="disconnected"), timedelta(days=14), None),
        (facts("disconnected", ended="user"), MINUTE, None),
        (facts("disconnected", ended="replaced"), MINUTE, None),
        (facts("disconnected", ended="unknown_to_gateway", number_known=False), MINUTE, None),
    ],
)
def test_how_soon_the_gateway_is_asked_again(
    known: SessionFacts, ended_ago: timedelta | None, pause: timedelta | None
) -> None:
    ended_at = None if ended_ago is None else NOW - ended_ago
    assert next_look(known, ended_at, NOW, PERIOD) == pause


def test_jitter_only_shortens() -> None:
    assert with_jitter(PERIOD, 0) == PERIOD
    assert with_jitter(PERIOD, 1) == 48 * SECOND


@pytest.mark.parametrize(
    ("since", "pause"),
    [(timedelta(0), 10), (MINUTE, 30), (timedelta(hours=1), 1800), (timedelta(days=9), 3600)],
)
def test_logouts_are_retried_ever_more_rarely(since: timedelta, pause: int) -> None:
    assert next_logout(NOW - since, NOW) == pause * SECOND


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (facts(), "connected"),
        (facts("connecting", age=PAIRING_LASTS - SECOND), "pairing"),
        (facts("qr_pending", age=PAIRING_LASTS), None),
        (facts("disconnected", ended="user", age=SECOND), None),
    ],
)
def test_what_may_be_deleted(known: SessionFacts, state: str | None) -> None:
    verdict = may_delete(known, NOW)
    if state is None:
        assert verdict == Deletable()
    else:
        assert isinstance(verdict, NotDeletable)
        assert verdict.state == state


@pytest.mark.parametrize(
    ("number_known", "age", "goes"),
    [(False, timedelta(0), True), (True, 29 * MINUTE, False), (True, 30 * MINUTE, True)],
)
def test_what_is_cleaned_up(number_known: bool, age: timedelta, goes: bool) -> None:
    known = facts("disconnected", ended="logged_out", number_known=number_known)
    assert may_clean_up(known, NOW - age, NOW, 30 * MINUTE) is goes


def test_what_is_connected_is_never_cleaned_up() -> None:
    assert not may_clean_up(facts(), NOW - timedelta(days=99), NOW, MINUTE)


def test_the_missing_code_has_its_sentence() -> None:
    assert "sent no QR data" in NO_QR_DATA


# --- reports that do not say when -----------------------------------------------------------


@given(facts=st.sampled_from(["connected", "disconnected", "connecting", "qr_pending"]))
def test_a_report_without_its_time_wins_over_nothing_that_is_known(facts: SessionStatus) -> None:
    ended: EndedReason | None = "disconnected" if facts == "disconnected" else None
    known = SessionFacts(facts, NOW, NOW, number_known=True, ended_reason=ended)
    for reading in (CONNECTED, QR, CONNECTING, GONE, SessionUnknown(), UnknownWord("odd")):
        assert decide_undated(known, reading, NOW + MINUTE, NOW + MINUTE) == Hint()


def test_a_pairing_that_no_phone_was_ever_linked_to_believes_it() -> None:
    new = SessionFacts("qr_pending", NOW, NOW, number_known=False)
    later = NOW + SECOND
    assert decide_undated(new, CONNECTED, later, later) == Connect(PHONE, None)
    assert decide_undated(new, CONNECTED, NOW - SECOND, later) == Outdated(disagrees=True)
