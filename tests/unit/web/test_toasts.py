"""What is said of one is said in the singular."""

from groupline.events.schemas import RunResult
from groupline.text import amount
from groupline.web.event_parts import run_toast


def test_amounts() -> None:
    said = [amount(count, "message is", "messages are") for count in (0, 1, 2, 1_200)]
    assert said == ["0 messages are", "1 message is", "2 messages are", "1,200 messages are"]


def test_a_run_of_a_sequence() -> None:
    one = RunResult(scheduled=1, already=1, skipped_past=0, cancelled=1)
    many = RunResult(scheduled=2, already=2, skipped_past=0, cancelled=2)
    assert run_toast(one)[1] == (
        "Scheduled 1 message. 1 was there already. 1 was cancelled by hand, and stays so."
    )
    assert run_toast(many)[1] == (
        "Scheduled 2 messages. 2 were there already. 2 were cancelled by hand, and stay so."
    )
