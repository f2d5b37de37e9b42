"""The sessions of the simulator: kept in memory, written through to the store."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from groupline_gateway.clock import from_epoch
from groupline_gateway.contract import (
    EXISTING_SESSION_MISSING,
    DisconnectReason,
    Restriction,
    SessionStatus,
)
from groupline_gateway.engines.port import SessionView
from groupline_gateway.engines.simulator import pairing
from groupline_gateway.errors import NotConnected, NotFound
from groupline_gateway.store import Store


@dataclass(slots=True)
class Session:
    session_id: str
    status: SessionStatus
    since: datetime
    phone: str | None = None
    reason: DisconnectReason | None = None
    expected_phone: str | None = None
    pairing_code: str | None = None
    pairing_started_at: datetime | None = None

    @property
    def linked(self) -> bool:
        """The phone lists it among its linked devices, connected or not."""
        return self.phone is not None and self.reason is not DisconnectReason.LOGGED_OUT

    @property
    def connection_lost(self) -> bool:
        return self.phone is not None and self.reason is DisconnectReason.CONNECTION_LOST

    @property
    def pairing(self) -> bool:
        return self.status is SessionStatus.QR_PENDING

    def start_pairing(self, now: datetime, expected_phone: str | None, with_code: bool) -> None:
        self.status, self.since, self.reason, self.phone = SessionStatus.QR_PENDING, now, None, None
        self.expected_phone = expected_phone
        self.pairing_started_at = now
        self.pairing_code = pairing.pairing_code(self.session_id, now) if with_code else None

    def become_connected(self, now: datetime, phone: str) -> None:
        self._end_pairing()
        self.status, self.since, self.reason = SessionStatus.CONNECTED, now, None
        self.phone = phone

    def become_disconnected(self, now: datetime, reason: DisconnectReason) -> None:
        self._end_pairing()
        self.status, self.since, self.reason = SessionStatus.DISCONNECTED, now, reason

    def _end_pairing(self) -> None:
        self.pairing_code = self.pairing_started_at = None

    def view(self, now: datetime, restriction: Restriction | None) -> SessionView:
        qr = expires_at = None
        if self.pairing and self.pairing_started_at is not None:
            index = pairing.code_index(now - self.pairing_started_at)
            if index is not None:
                qr = pairing.qr_text(self.session_id, self.pairing_started_at, index)
                expires_at = pairing.code_expires_at(self.pairing_started_at, index)
        return SessionView(
            session_id=self.session_id,
            status=self.status,
            since=self.since,
            phone=self.phone,
            reason=self.reason,
            qr=qr,
            qr_expires_at=expires_at,
            pairing_code=self.pairing_code,
            restriction=restriction,
        )


class SessionBook:
    """Every session the gateway knows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    async def load(self) -> None:
        rows = await self._store.read(
            lambda connection: connection.execute("SELECT * FROM sim_sessions").fetchall()
        )
        self._sessions = {row["session_id"]: _from_row(row) for row in rows}

    def find(self, session_id: str | None) -> Session | None:
        return None if session_id is None else self._sessions.get(session_id)

    def get(self, session_id: str) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFound(EXISTING_SESSION_MISSING)
        return session

    def get_connected(self, session_id: str) -> tuple[Session, str]:
        """The session and its phone's number."""
        session = self.get(session_id)
        if session.status is not SessionStatus.CONNECTED or session.phone is None:
            raise NotConnected
        return session, session.phone

    def of_phone(self, number: str) -> list[Session]:
        return [session for session in self if session.linked and session.phone == number]

    async def save(self, session: Session) -> None:
        self._sessions[session.session_id] = session
        row = _to_row(session)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO sim_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (session_id) DO UPDATE SET status = excluded.status,"
                " since = excluded.since, phone = excluded.phone, reason = excluded.reason,"
                " expected_phone = excluded.expected_phone,"
                " pairing_code = excluded.pairing_code,"
                " pairing_started_at = excluded.pairing_started_at",
                row,
            )

        await self._store.write(work)

    async def remove(self, session: Session) -> None:
        self._sessions.pop(session.session_id, None)
        await self._store.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM sim_sessions WHERE session_id = ?", (session.session_id,)
                ).rowcount
            )
        )


def _to_row(session: Session) -> tuple[object, ...]:
    started = session.pairing_started_at
    return (
        session.session_id,
        session.status.value,
        session.since.timestamp(),
        session.phone,
        None if session.reason is None else session.reason.value,
        session.expected_phone,
        session.pairing_code,
        None if started is None else started.timestamp(),
    )


def _from_row(row: sqlite3.Row) -> Session:
    started = row["pairing_started_at"]
    return Session(
        session_id=row["session_id"],
        status=SessionStatus(row["status"]),
        since=from_epoch(row["since"]),
        phone=row["phone"],
        reason=None if row["reason"] is None else DisconnectReason(row["reason"]),
        expected_phone=row["expected_phone"],
        pairing_code=row["pairing_code"],
        pairing_started_at=None if started is None else from_epoch(started),
    )
