"""How long the messages of steps take, when one number sends them one after the other."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from groupline.events.pace import JITTER, Batch, estimates

START = datetime(2026, 3, 4, 13, 30, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def batch(at: float, messages: int, step: UUID | None = ONE, useful: float | None = 30) -> Batch:
    due = START + minutes(at)
    return Batch(due, messages, None if useful is None else due + minutes(useful), step)


def test_a_step_takes_its_messages_times_the_pace() -> None:
    (estimate,) = estimates([batch(0, 40)], 10 / JITTER)
    assert estimate.takes == timedelta(seconds=400)
    assert (estimate.minutes, estimate.too_late, estimate.runs_into) == (7, 0, None)


def test_without_a_pause_it_still_takes_its_time() -> None:
    (estimate,) = estimates([batch(0, 600)], 0)
    assert estimate.takes == minutes(5)


def test_what_does_not_leave_while_it_is_useful_is_too_late() -> None:
    (estimate,) = estimates([batch(0, 40, useful=10)], 30 / JITTER)
    assert estimate.too_late == 20


def test_a_step_waits_for_the_one_before_and_for_everything_else() -> None:
    first, second = estimates([batch(0, 30), batch(10, 30, TWO)], 60 / JITTER)
    assert first.runs_into == TWO
    assert second.ends == START + minutes(60)
    assert second.too_late == 20
    (alone,) = estimates([batch(10, 30, TWO)], 60 / JITTER)
    assert alone.too_late == 0
    (loaded,) = estimates([batch(0, 30, None, None), batch(10, 30, TWO)], 60 / JITTER)
    assert (loaded.ends, loaded.too_late) == (second.ends, 20)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 50)), min_size=1, max_size=8),
    st.floats(0, 100),
)
def test_nothing_leaves_before_its_time_or_faster_than_the_pace(
    steps: list[tuple[int, int]], pace: float
) -> None:
    batches = [batch(at, messages, UUID(int=n)) for n, (at, messages) in enumerate(steps, start=1)]
    found = estimates(batches, pace)
    assert len(found) == len(batches)
    each = max(timedelta(seconds=0.5), timedelta(seconds=pace * JITTER))
    for estimate in found:
        assert estimate.takes >= each * estimate.messages
        assert 0 <= estimate.too_late <= estimate.messages
    last = max(estimate.ends for estimate in found)
    busy = each * sum(messages for _, messages in steps)
    assert last >= min(one.due for one in batches) + busy
