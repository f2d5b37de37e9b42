"""Sends with a ``clientRef``: at most one copy each, whatever happens in between.

The intent is on disk before the engine hears of the message. A repetition, a concurrent
duplicate and a request after a crash all meet that row; where it does not tell how the send
ended, the engine is asked whether WhatsApp has the message. Where the engine only knows that it
may have left, the row keeps the message id until WhatsApp shows that it has it.
"""

import asyncio
import hashlib
import sqlite3
import uuid
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from groupline_gateway.clock import Clock, from_epoch
from groupline_gateway.contract import MessageState
from groupline_gateway.engines.port import (
    Confirmed,
    Engine,
    Order,
    SendResult,
    Sent,
    Trace,
)
from groupline_gateway.errors import Conflict, FateUnknown, GatewayError, NotOnRecord
from groupline_gateway.store import Store, Work

log = structlog.get_logger()

KEPT = timedelta(days=90)
_REMEMBERED_RECIPIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a message that somebody asks about."""

    status: MessageState
    message_id: str | None = None
    at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    session_id: str
    fingerprint: str
    status: str
    message_id: str | None
    error: str | None
    at: datetime


class Ledger:
    def __init__(self, store: Store, engine: Engine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._in_flight: dict[str, tuple[str, asyncio.Task[SendResult]]] = {}
        self._last: OrderedDict[tuple[str, str], Found] = OrderedDict()
        self._began_at = clock.now().timestamp()
        self._open: dict[str, Confirmed] = {}
        """By message id: what may have gone out and has not been confirmed."""
        engine.on_rejected(self._note_rejection)
        engine.on_confirmed(self._note_confirmation)

    async def recover(self) -> None:
        """Settle what an earlier run left open, while the engine still remembers it."""
        self._began_at = await self._store.write(partial(_beginning, self._began_at))
        for client_ref, recipient, entry in await self._store.read(_open_entries):
            message = Confirmed(client_ref, entry.session_id, recipient)
            if entry.message_id is not None:
                self._open[entry.message_id] = message
                continue
            if entry.error is not None:
                continue
            try:
                trace = await self._engine.trace(client_ref, entry.session_id)
            except FateUnknown:
                log.warning("message.fate_unknown", client_ref=client_ref)
                await self._note_unknown(message, None)
                continue
            if trace is None:
                await self._store.write(partial(_forget, client_ref))
            elif trace.certain:
                self._settle(client_ref, "sent", message_id=trace.message_id)
            else:
                await self._note_unknown(message, trace.message_id)

    async def send(self, order: Order) -> SendResult:
        """Send once per ``clientRef``; without one, send as asked."""
        if order.client_ref is None:
            result = await self._engine.send(order)
        else:
            result = await self._send_once(order, order.client_ref)
        if isinstance(result, Sent):
            self._remember_last(order, result)
        return result

    async def find(self, client_ref: str) -> Found | None:
        """The fate of a message; None is a definite "it was not sent".

        Raises ``NotOnRecord`` for a reference that tells that it was made before this ledger: the
        one of that time is lost, or was another gateway's.
        """
        if client_ref in self._in_flight:
            return Found(MessageState.PENDING)
        entry = await self._store.read(lambda connection: _load(connection, client_ref))
        if entry is None:
            made_at = _made_at(client_ref)
            if made_at is not None and made_at < self._began_at:
                raise NotOnRecord
            return None
        if entry.status == "failed":
            return Found(MessageState.FAILED, at=entry.at, error=entry.error)
        trace = await self._trace(client_ref, entry)
        if trace is None:
            return None
        if not trace.certain:
            return Found(MessageState.PENDING, trace.message_id, entry.at)
        if entry.status != "sent":
            self._settle(client_ref, "sent", message_id=trace.message_id)
        return Found(MessageState.SENT, trace.message_id, entry.at)

    def find_last(self, session_id: str, recipient: str) -> Found | None:
        """The last message that went to a recipient since the gateway started."""
        return self._last.get((session_id, recipient))

    async def forget_old(self) -> None:
        """Drop what is older than anybody would still ask for."""
        before = (self._clock.now() - KEPT).timestamp()
        await self._store.write(
            lambda connection: (
                connection.execute("DELETE FROM messages WHERE intended_at < ?", (before,)).rowcount
            )
        )

    async def _send_once(self, order: Order, client_ref: str) -> SendResult:
        fingerprint = _fingerprint(order)
        running = self._in_flight.get(client_ref)
        if running is not None:
            _require_same(fingerprint, running[0])
            return replace(await asyncio.shield(running[1]), existing=True)
        task = asyncio.create_task(self._send_recorded(order, client_ref, fingerprint))
        self._in_flight[client_ref] = (fingerprint, task)
        task.add_done_callback(lambda _: self._in_flight.pop(client_ref, None))
        # A caller that is cancelled takes neither the send nor its duplicates with it.
        return await asyncio.shield(task)

    async def _send_recorded(self, order: Order, client_ref: str, fingerprint: str) -> SendResult:
        at = self._clock.now().timestamp()
        known = await self._store.write(
            lambda connection: _intend(connection, order, fingerprint, at)
        )
        if known is not None:
            _require_same(fingerprint, known.fingerprint)
            earlier = await self._earlier_result(client_ref, known)
            if earlier is not None:
                return earlier
            # On disk before the message leaves: the row still says that it was not sent.
            await self._store.write(lambda connection: _intend_again(connection, order))
        try:
            result = await self._engine.send(order)
        except FateUnknown as error:
            message = Confirmed(client_ref, order.session_id, order.recipient)
            await self._note_unknown(message, error.message_id)
            raise
        except GatewayError as error:
            # Whoever asks after the answer has to be told the same.
            await self._store.write(
                self._settling(client_ref, "failed", error=error.text, session_id=order.session_id)
            )
            raise
        if isinstance(result, Sent):
            self._settle(
                client_ref, "sent", message_id=result.message_id, session_id=order.session_id
            )
        else:
            self._settle(client_ref, "accepted", session_id=order.session_id)
        return result

    async def _earlier_result(self, client_ref: str, known: _Entry) -> SendResult | None:
        """How an earlier request ended, or None if this one has to send."""
        if known.status == "failed":
            return None
        trace = await self._trace(client_ref, known)
        if trace is None:
            return None
        if not trace.certain:
            raise FateUnknown(trace.message_id)
        if known.status != "sent":
            self._settle(client_ref, "sent", message_id=trace.message_id)
        return Sent(trace.message_id, existing=True)

    async def _trace(self, client_ref: str, entry: _Entry) -> Trace | None:
        if entry.status == "intended" and entry.error is not None:
            raise FateUnknown
        if entry.message_id is None:
            return await self._engine.trace(client_ref, entry.session_id)
        return Trace(entry.message_id, certain=entry.message_id not in self._open)

    async def _note_unknown(self, message: Confirmed, message_id: str | None) -> None:
        """It may have gone out. Without an id nobody will ever know, and nobody is asked again."""
        if message_id is not None:
            self._open[message_id] = message
        error = None if message_id is not None else "nobody knows whether it went out"
        await self._store.write(
            self._settling(message.client_ref, "intended", message_id=message_id, error=error)
        )

    def _note_confirmation(self, message_id: str) -> Confirmed | None:
        message = self._open.pop(message_id, None)
        if message is not None:
            self._settle(message.client_ref, "sent", message_id=message_id)
        return message

    def _note_rejection(self, client_ref: str, reason: str) -> None:
        self._settle(client_ref, "failed", error=reason)

    def _settle(self, client_ref: str, status: str, **facts: str | None) -> None:
        """Note the outcome with the next transaction.

        Nobody waits for it: if it is lost in a crash, the intent is still there and the engine
        is asked again.
        """
        self._store.write_soon(
            self._settling(client_ref, status, **facts), event="message.settle_failed"
        )

    def _settling(
        self,
        client_ref: str,
        status: str,
        *,
        message_id: str | None = None,
        error: str | None = None,
        session_id: str | None = None,
    ) -> Work[None]:
        at = self._clock.now().timestamp()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE messages SET status = ?, message_id = ?, error = ?, settled_at = ?,"
                " session_id = coalesce(?, session_id) WHERE client_ref = ?"
                # "accepted" may come after the callback that already says more.
                " AND (? <> 'accepted' OR status = 'intended')",
                (status, message_id, error, at, session_id, client_ref, status),
            )

        return work

    def _remember_last(self, order: Order, result: Sent) -> None:
        key = (order.session_id, order.recipient)
        self._last[key] = Found(MessageState.SENT, result.message_id, self._clock.now())
        self._last.move_to_end(key)
        if len(self._last) > _REMEMBERED_RECIPIENTS:
            self._last.popitem(last=False)


def message_id_for(client_ref: str) -> str:
    """The WhatsApp message id that a ``clientRef`` stands for, always the same."""
    digest = hashlib.sha256(b"groupline message id\0" + client_ref.encode()).hexdigest()
    return "3EB0" + digest[:18].upper()


def _made_at(client_ref: str) -> float | None:
    """When a reference was made, if it begins with a UUIDv7: those tell the time."""
    try:
        made = uuid.UUID(client_ref[:36])
    except ValueError:
        return None
    return (made.int >> 80) / 1000 if made.version == 7 else None


def _beginning(now: float, connection: sqlite3.Connection) -> float:
    """Since when this file knows of every message with a reference. Kept from its first start."""
    connection.execute(
        "INSERT INTO ledger (began_at)"
        " SELECT coalesce((SELECT min(intended_at) FROM messages), ?)"
        " WHERE NOT EXISTS (SELECT 1 FROM ledger)",
        (now,),
    )
    return float(connection.execute("SELECT began_at FROM ledger").fetchone()[0])


def _fingerprint(order: Order) -> str:
    """What a repetition has to agree on. Not the session: the number may have been re-paired."""
    parts = (order.recipient, order.text, order.media_url or "", order.media_type or "")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _require_same(fingerprint: str, known: str) -> None:
    if fingerprint != known:
        raise Conflict("This clientRef was used before, for another text or recipient")


def _load(connection: sqlite3.Connection, client_ref: str) -> _Entry | None:
    row = connection.execute(
        f"SELECT {_ENTRY} FROM messages WHERE client_ref = ?",  # noqa: S608 - our own columns
        (client_ref,),
    ).fetchone()
    return None if row is None else _entry(row)


_ENTRY = (
    "session_id, fingerprint, status, message_id, error, coalesce(settled_at, intended_at) AS at"
)


def _entry(row: sqlite3.Row) -> _Entry:
    return _Entry(
        row["session_id"],
        row["fingerprint"],
        row["status"],
        row["message_id"],
        row["error"],
        from_epoch(row["at"]),
    )


def _open_entries(connection: sqlite3.Connection) -> list[tuple[str, str, _Entry]]:
    """Reference, recipient and row of what was neither sent nor refused for certain."""
    rows = connection.execute(
        f"SELECT client_ref, recipient, {_ENTRY} FROM messages"  # noqa: S608 - our own columns
        " WHERE status = 'intended' ORDER BY intended_at"
    )
    return [(row["client_ref"], row["recipient"], _entry(row)) for row in rows]


def _forget(client_ref: str, connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM messages WHERE client_ref = ?", (client_ref,))


def _intend_again(connection: sqlite3.Connection, order: Order) -> None:
    connection.execute(
        "UPDATE messages SET status = 'intended', message_id = NULL, error = NULL, session_id = ?"
        " WHERE client_ref = ?",
        (order.session_id, order.client_ref),
    )


def _intend(
    connection: sqlite3.Connection, order: Order, fingerprint: str, at: float
) -> _Entry | None:
    """Write the intent to send, unless there is one: then return it."""
    inserted = connection.execute(
        "INSERT INTO messages (client_ref, fingerprint, session_id, recipient, status, intended_at)"
        " VALUES (?, ?, ?, ?, 'intended', ?) ON CONFLICT (client_ref) DO NOTHING",
        (order.client_ref, fingerprint, order.session_id, order.recipient, at),
    ).rowcount
    return None if inserted else _load(connection, str(order.client_ref))
