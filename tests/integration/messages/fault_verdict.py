"""What a campaign of faults is judged by: what arrived, what was rejected, what is still untold."""

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from groupline.models import ScheduledWhatsappMessage


@dataclass(frozen=True, slots=True)
class Rejected:
    """Messages by their ids."""

    by_whatsapp: Collection[str] = ()
    told: Collection[str] = ()
    """Those that we know of. A gateway that is killed takes what it has not told with it."""

    def in_silence(self, message_id: str) -> bool:
        return message_id in self.by_whatsapp and message_id not in self.told


def verdict(
    messages: Sequence[ScheduledWhatsappMessage],
    copies: Mapping[str, int],
    *,
    rejected: Rejected,
    seed: int,
) -> None:
    """Rules 5 and 6, message by message. What the gateway has sent may still be rejected."""
    twice = {content: count for content, count in copies.items() if count > 1}
    assert not twice, f"sent twice (seed {seed}): {twice}"
    for message in messages:
        arrived = copies.get(message.content, 0)
        what = f"{message.status} with {arrived} copies (seed {seed}): {message.error_code}"
        if message.status == "sent":
            assert message.gateway_message_id, what
            assert arrived == 1 or rejected.in_silence(message.gateway_message_id), what
        elif message.status != "uncertain":
            assert arrived == 0, what


def waiting_in(path: Path) -> int:
    """How many events wait in a gateway's queue."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        statement = "SELECT count(*) FROM webhook_events WHERE given_up_at IS NULL"
        return int(connection.execute(statement).fetchone()[0])


@contextlib.contextmanager
def plain_logs() -> Iterator[None]:
    """Without every local variable of every frame, which takes seconds per cut connection: the
    door for what gateways report stands in this process, and would be shut meanwhile."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )
    try:
        yield
    finally:
        structlog.configure(**before)
