"""Every exception of the HTTP client has one meaning, and none is forgotten."""

import inspect
import ssl
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions

from groupline.gateways.drivers.failures import (
    CAUSES,
    CallFailed,
    Cause,
    WriteMark,
    classify,
    failure_kind,
    send_outcome,
)
from groupline.gateways.outcomes import (
    FailureKind,
    NotSent,
    NotSentReason,
    Uncertain,
    UncertainReason,
)


def _subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from _subclasses(sub)


def _client_exceptions() -> set[type[BaseException]]:
    """By introspection, so that a new version of the client shows itself here."""
    named = {
        member
        for module in (aiohttp, client_exceptions, http_exceptions)
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Exception)
        and not issubclass(member, Warning)
        and member.__module__.startswith("aiohttp.")
    }
    derived = {*_subclasses(aiohttp.ClientError), *_subclasses(http_exceptions.HttpProcessingError)}
    found = named | {kind for kind in derived if kind.__module__.startswith("aiohttp.")}
    # Of aiohttp's servers, not of its client.
    servers = {kind for kind in found if kind.__module__.startswith("aiohttp.web")}
    return found - servers - {aiohttp.EofStream}


def test_introspection_finds_the_classes_that_are_known_to_exist() -> None:
    found = _client_exceptions()
    assert {aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError} <= found
    assert len(found) > 35


@pytest.mark.parametrize("kind", sorted(_client_exceptions(), key=repr))
def test_every_exception_class_of_the_client_is_classified(kind: type[BaseException]) -> None:
    assert kind in CAUSES, f"{kind.__name__} needs a line in CAUSES"


def _failed(cause: Cause, *, written: bool, pool: bool = False) -> CallFailed:
    return CallFailed(cause, written, pool, "detail", "Error")


@pytest.mark.parametrize("kind", sorted(CAUSES, key=repr))
def test_nothing_that_was_written_is_ever_called_not_sent(kind: type[BaseException]) -> None:
    outcome = send_outcome(_failed(CAUSES[kind], written=True))
    assert isinstance(outcome, Uncertain)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.BAD_ANSWER])
def test_what_was_not_written_is_not_sent_and_burns_no_attempt(cause: Cause) -> None:
    outcome = send_outcome(_failed(cause, written=False))
    assert isinstance(outcome, NotSent)
    assert outcome.retryable
    assert not outcome.counts_as_attempt


def test_an_answer_that_cannot_be_used_is_uncertain_whatever_the_trace_says() -> None:
    outcome = send_outcome(_failed(Cause.BAD_ANSWER, written=False))
    assert outcome == Uncertain(UncertainReason.MALFORMED, None, "detail")


@pytest.mark.parametrize(
    ("cause", "pool", "reason"),
    [
        (Cause.NO_CONNECTION, False, NotSentReason.UNREACHABLE),
        (Cause.BAD_ADDRESS, False, NotSentReason.UNREACHABLE),
        (Cause.CONNECTION_BROKE, False, NotSentReason.UNREACHABLE),
        (Cause.TIME_IS_UP, False, NotSentReason.TIMEOUT_BEFORE_WRITE),
        (Cause.TIME_IS_UP, True, NotSentReason.POOL_EXHAUSTED),
    ],
)
def test_why_it_was_not_sent(cause: Cause, pool: bool, reason: NotSentReason) -> None:
    outcome = send_outcome(_failed(cause, written=False, pool=pool))
    assert isinstance(outcome, NotSent)
    assert outcome.reason is reason


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Cause.TIME_IS_UP, UncertainReason.NO_ANSWER),
        (Cause.CONNECTION_BROKE, UncertainReason.CONNECTION_LOST),
        (Cause.BAD_ANSWER, UncertainReason.MALFORMED),
        (Cause.NO_CONNECTION, UncertainReason.UNEXPECTED),
    ],
)
def test_why_it_is_uncertain(cause: Cause, reason: UncertainReason) -> None:
    outcome = send_outcome(_failed(cause, written=True))
    assert isinstance(outcome, Uncertain)
    assert outcome.reason is reason


def test_a_derived_class_means_what_its_nearest_known_base_means() -> None:
    assert classify(ssl.SSLZeroReturnError(), WriteMark()).cause is Cause.CONNECTION_BROKE
    assert classify(BrokenPipeError(), WriteMark()).cause is Cause.CONNECTION_BROKE
    assert classify(aiohttp.ServerTimeoutError(), WriteMark()).cause is Cause.TIME_IS_UP


def test_an_exception_that_is_not_the_clients_is_a_defect_and_not_an_outcome() -> None:
    with pytest.raises(TypeError, match="KeyError"):
        classify(KeyError("x"), WriteMark())


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        (WriteMark(written=True), "did not answer in time"),
        (WriteMark(waiting_for_pool=True), "are busy"),
        (WriteMark(), "did not accept a connection"),
    ],
)
def test_a_timeout_is_told_by_how_far_the_request_got(mark: WriteMark, words: str) -> None:
    assert words in classify(TimeoutError(), mark).detail


def test_a_failed_call_is_a_reading_of_the_gateway_not_of_the_session() -> None:
    kinds = {cause: failure_kind(_failed(cause, written=True)) for cause in Cause}
    assert kinds.pop(Cause.BAD_ANSWER) is FailureKind.MALFORMED
    assert set(kinds.values()) == {FailureKind.UNREACHABLE}
