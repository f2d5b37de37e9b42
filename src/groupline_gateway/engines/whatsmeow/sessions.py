"""The sessions of this engine: what is known of each, and what of it survives a restart."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from groupline_gateway.clock import from_epoch
from groupline_gateway.contract import (
    EXISTING_SESSION_MISSING,
    DisconnectReason,
    Proxy,
    Restriction,
    SessionStatus,
)
from groupline_gateway.engines.port import SessionView
from groupline_gateway.errors import NotFound
from groupline_gateway.store import Store

WHATSMEOW_SCHEMA = (
    """
    CREATE TABLE whatsmeow_sessions (
        session_id TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        since REAL NOT NULL,
        paired INT NOT NULL,
        phone TEXT,
        facts TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
)


class Wish(StrEnum):
    """What a session's worker is for."""

    NONE = "none"
    PAIR = "pair"
    STAY = "stay"


@dataclass(slots=True)
class Session:
    session_id: str
    status: SessionStatus
    since: datetime
    paired: bool = False
    phone: str | None = None
    reason: DisconnectReason | None = None
    detail: str | None = None
    restriction: Restriction | None = None
    retry_at: datetime | None = None
    """Not before this moment: WhatsApp keeps the number, or this version, out."""
    proxy: Proxy | None = None
    pairing_phone: str | None = None
    """Set while somebody wants to type a code instead of scanning one."""
    # Of the pairing under way; not stored.
    qr: str | None = None
    qr_expires_at: datetime | None = None
    pairing_code: str | None = None
    codes: int = field(default=0)

    @property
    def wish(self) -> Wish:
        if self.status is SessionStatus.DISCONNECTED and self.retry_at is None:
            return Wish.NONE
        return Wish.STAY if self.paired else Wish.PAIR

    def become(
        self,
        status: SessionStatus,
        now: datetime,
        *,
        reason: DisconnectReason | None = None,
        detail: str | None = None,
    ) -> bool:
        """Whether that is news. What belongs to the state before is dropped."""
        before = (self.status, self.reason)
        if status is not SessionStatus.QR_PENDING:
            self.qr = self.qr_expires_at = self.pairing_code = None
        if status is not self.status:
            self.since = now
        self.status, self.reason, self.detail = status, reason, detail
        self.retry_at = None
        return before != (status, reason)

    def view(self, now: datetime) -> SessionView:
        restriction = self.restriction
        if restriction is not None and restriction.until is not None:
            over = datetime.fromisoformat(restriction.until) <= now
            restriction = None if over else restriction
        return SessionView(
            session_id=self.session_id,
            status=self.status,
            since=self.since,
            phone=self.phone,
            reason=self.reason,
            qr=self.qr,
            qr_expires_at=self.qr_expires_at,
            pairing_code=self.pairing_code,
            restriction=restriction,
            detail=self.detail,
        )


class SessionBook:
    """Every session of the gateway, kept in memory and written through to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    async def load(self) -> None:
        rows = await self._store.read(
            lambda connection: connection.execute(
                "SELECT * FROM whatsmeow_sessions ORDER BY session_id"
            ).fetchall()
        )
        self._sessions = {row["session_id"]: _from_row(row) for row in rows}

    def find(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def get(self, session_id: str) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFound(EXISTING_SESSION_MISSING)
        return session

    def add(self, session: Session) -> None:
        self._sessions[session.session_id] = session

    def save_soon(self, session: Session) -> None:
        """With the next transaction. A lost one is told again by WhatsApp."""
        if session.session_id in self._sessions:
            self._store.write_soon(_saving(session), event="session.save_failed")

    async def save(self, session: Session) -> None:
        await self._store.write(_saving(session))

    async def remove(self, session: Session) -> None:
        self._sessions.pop(session.session_id, None)
        await self._store.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM whatsmeow_sessions WHERE session_id = ?", (session.session_id,)
                ).rowcount
            )
        )


class _Saving:
    """The row as it is when asked for, whatever happens to the session afterwards."""

    def __init__(self, session: Session) -> None:
        self._row = _to_row(session)

    def __call__(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO whatsmeow_sessions VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (session_id) DO UPDATE SET status = excluded.status,"
            " since = excluded.since, paired = excluded.paired, phone = excluded.phone,"
            " facts = excluded.facts",
            self._row,
        )


def _saving(session: Session) -> _Saving:
    return _Saving(session)


def _to_row(session: Session) -> tuple[object, ...]:
    facts = {
        "reason": None if session.reason is None else session.reason.value,
        "detail": session.detail,
        "restriction": None
        if session.restriction is None
        else session.restriction.model_dump(exclude_none=True),
        "retryAt": None if session.retry_at is None else session.retry_at.timestamp(),
        "proxy": None if session.proxy is None else session.proxy.model_dump(exclude_none=True),
        "pairingPhone": session.pairing_phone,
    }
    return (
        session.session_id,
        session.status.value,
        session.since.timestamp(),
        session.paired,
        session.phone,
        json.dumps({name: value for name, value in facts.items() if value is not None}),
    )


def _from_row(row: sqlite3.Row) -> Session:
    facts: dict[str, Any] = json.loads(row["facts"])
    restriction, proxy = facts.get("restriction"), facts.get("proxy")
    return Session(
        session_id=row["session_id"],
        status=SessionStatus(row["status"]),
        since=from_epoch(row["since"]),
        paired=bool(row["paired"]),
        phone=row["phone"],
        reason=DisconnectReason(facts["reason"]) if "reason" in facts else None,
        detail=facts.get("detail"),
        restriction=Restriction.model_validate(restriction) if restriction else None,
        retry_at=from_epoch(facts["retryAt"]) if "retryAt" in facts else None,
        proxy=Proxy.model_validate(proxy) if proxy else None,
        pairing_phone=facts.get("pairingPhone"),
    )
