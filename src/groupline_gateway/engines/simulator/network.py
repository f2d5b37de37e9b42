"""What the simulated WhatsApp network received: one row per copy, whoever sent it why.

The network knows nothing of the gateway's ledger and removes no duplicates, so that a test
can count what would have reached people.
"""

import sqlite3
from dataclasses import dataclass

from groupline_gateway.engines.port import Order
from groupline_gateway.engines.simulator.world import group_of
from groupline_gateway.errors import Refused


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    group: str | None = None
    phone: str | None = None
    session_id: str | None = None
    client_ref: str | None = None
    since: float | None = None
    after: int = 0


def check_admission(connection: sqlite3.Connection, phone: str, recipient: str) -> None:
    """Whether WhatsApp would take a message of this phone to that group."""
    if not recipient.endswith("@g.us"):
        return
    group = group_of(connection, phone, recipient)
    if group.is_community:
        raise Refused("A community itself cannot be written to, only its groups")
    if group.announce_only and not group.is_admin:
        raise Refused("Only admins may write in this group")


def deliver(
    connection: sqlite3.Connection, order: Order, phone: str, message_id: str, at: float
) -> None:
    check_admission(connection, phone, order.recipient)
    connection.execute(
        "INSERT INTO sim_deliveries (group_jid, phone, session_id, client_ref, message_id, text,"
        " media_url, media_type, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            order.recipient,
            phone,
            order.session_id,
            order.client_ref,
            message_id,
            order.text,
            order.media_url,
            order.media_type,
            at,
        ),
    )


def turn_down(connection: sqlite3.Connection, message_id: str, at: float) -> None:
    """Takes a message and lets nobody have it."""
    connection.execute(
        "INSERT INTO sim_rejections (message_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (message_id, at),
    )


def rejections(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT message_id FROM sim_rejections ORDER BY at, message_id")
    return [row["message_id"] for row in rows]


def has_message(connection: sqlite3.Connection, message_id: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM sim_deliveries WHERE message_id = ? LIMIT 1", (message_id,)
    ).fetchone()
    return row is not None


def find_delivery(connection: sqlite3.Connection, message_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM sim_deliveries WHERE message_id = ? ORDER BY id LIMIT 1", (message_id,)
    ).fetchone()
    return row


def deliveries(
    connection: sqlite3.Connection, wanted: DeliveryFilter, limit: int
) -> list[sqlite3.Row]:
    where, values = _where(wanted)
    select = f"SELECT * FROM sim_deliveries WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608
    return connection.execute(select, (*values, limit)).fetchall()


def count_deliveries(
    connection: sqlite3.Connection, wanted: DeliveryFilter, by: str, at_least: int
) -> tuple[int, list[sqlite3.Row]]:
    """All of them, and the copies per group and ``client_ref`` or ``text``."""
    where, values = _where(wanted)
    key = "client_ref" if by == "clientRef" else "text"
    count = f"SELECT count(*) AS n FROM sim_deliveries WHERE {where}"  # noqa: S608
    total = connection.execute(count, values).fetchone()["n"]
    copies = (
        f"SELECT group_jid, {key} AS key, count(*) AS copies FROM sim_deliveries"  # noqa: S608
        f" WHERE {where} GROUP BY group_jid, {key} HAVING count(*) >= ?"
        f" ORDER BY group_jid, {key}"
    )
    return int(total), connection.execute(copies, (*values, at_least)).fetchall()


def forget_deliveries(connection: sqlite3.Connection) -> int:
    connection.execute("DELETE FROM sim_rejections")
    return connection.execute("DELETE FROM sim_deliveries").rowcount


def _where(wanted: DeliveryFilter) -> tuple[str, tuple[object, ...]]:
    """A condition made of the texts below alone; everything given is a parameter."""
    conditions: list[tuple[str, object]] = [("id > ?", wanted.after)]
    given = (
        ("group_jid = ?", wanted.group),
        ("phone = ?", wanted.phone),
        ("session_id = ?", wanted.session_id),
        ("client_ref = ?", wanted.client_ref),
        ("at >= ?", wanted.since),
    )
    conditions += [(text, value) for text, value in given if value is not None]
    return " AND ".join(text for text, _ in conditions), tuple(value for _, value in conditions)
