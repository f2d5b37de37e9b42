"""What the gateway needs of an engine."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from fastapi import APIRouter
from starlette.types import ASGIApp

from groupline_gateway.contract import (
    ConnectRequest,
    DisconnectReason,
    Restriction,
    SessionStatus,
)


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session as it is now."""

    session_id: str
    status: SessionStatus
    since: datetime
    phone: str | None = None
    """E.164 digits, once the session is paired."""
    reason: DisconnectReason | None = None
    qr: str | None = None
    qr_expires_at: datetime | None = None
    pairing_code: str | None = None
    restriction: Restriction | None = None
    detail: str | None = None
    """A sentence for people on what is wrong."""


@dataclass(frozen=True, slots=True)
class SessionHealth:
    """What the operator of the gateway wants to know of one session."""

    view: SessionView
    memory_mb: float | None = None
    restarts: int | None = None


@dataclass(frozen=True, slots=True)
class EngineHealth:
    sessions: list[SessionHealth]
    limit: int | None = None
    memory_limit_mb: int | None = None


@dataclass(frozen=True, slots=True)
class GroupView:
    jid: str
    name: str
    size: int
    is_admin: bool
    is_community: bool = False
    is_community_announce: bool = False
    announce_only: bool = False
    invite_code: str | None = None


@dataclass(frozen=True, slots=True)
class ParticipantView:
    id: str
    phone: str | None = None
    is_admin: bool = False
    is_super_admin: bool = False


@dataclass(frozen=True, slots=True)
class ParticipantList:
    group_name: str
    participants: list[ParticipantView] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Order:
    """One message to be sent."""

    session_id: str
    recipient: str
    """A JID."""
    text: str
    media_url: str | None = None
    media_type: str | None = None
    client_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """WhatsApp has it, under this id."""

    message_id: str
    existing: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The engine took it over; a callback tells the id or the failure."""

    existing: bool = False


SendResult: TypeAlias = Sent | Accepted


@dataclass(frozen=True, slots=True)
class Trace:
    """A message that left, or may have left, under this id."""

    message_id: str
    certain: bool = True
    """False: it may have gone out, and WhatsApp has not confirmed it."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A message whose fate was unknown, and which WhatsApp turns out to have."""

    client_ref: str
    session_id: str
    recipient: str


RejectionListener: TypeAlias = Callable[[str, str], None]
"""Told the ``clientRef`` and the reason."""

ConfirmationListener: TypeAlias = Callable[[str], Confirmed | None]
"""Told a message id that WhatsApp certainly has; answers what it was if that is news."""


class Engine(Protocol):
    """Raises ``GatewayError`` for what a caller is to be told.

    ``send`` may raise one only when the message certainly did not leave. ``FateUnknown`` names
    the id under which it may have; after any other exception ``trace`` is asked.
    """

    @property
    def name(self) -> str: ...

    @property
    def library(self) -> str | None:
        """Name and version of what it speaks WhatsApp with."""
        ...

    @property
    def capabilities(self) -> tuple[str, ...]: ...

    @property
    def router(self) -> APIRouter | None:
        """Routes that only this engine has."""
        ...

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """The chance to stand between the server and the application."""
        ...

    async def start(self) -> None:
        """Load what is stored. Nothing is said to WhatsApp yet."""
        ...

    def begin(self) -> None:
        """What an earlier run left open is settled: sessions may come back."""
        ...

    def begin_stop(self) -> None:
        """The server is about to drain: let go of requests that are being held."""
        ...

    async def stop(self) -> None: ...

    def session_count(self) -> int: ...

    def health(self) -> EngineHealth: ...

    async def connect(self, request: ConnectRequest) -> SessionView: ...

    def status(self, session_id: str) -> SessionView: ...

    async def disconnect(self, session_id: str) -> None:
        """Log out and forget the session."""
        ...

    async def groups(self, session_id: str) -> list[GroupView]: ...

    async def invite(self, session_id: str, jid: str) -> str:
        """The invite code of a group that the session's number administers."""
        ...

    async def participants(self, session_id: str, jid: str) -> ParticipantList: ...

    async def send(self, order: Order) -> SendResult: ...

    async def trace(self, client_ref: str, session_id: str) -> Trace | None:
        """What became of a message that this session was to send; None: it never left.

        Raises ``FateUnknown`` where that can no longer be told.
        """
        ...

    def on_rejected(self, listener: RejectionListener) -> None:
        """Have ``listener`` told of each message that WhatsApp turned down after it was sent."""
        ...

    def on_confirmed(self, listener: ConfirmationListener) -> None:
        """Have ``listener`` told of messages that WhatsApp has, by receipts that come later."""
        ...
