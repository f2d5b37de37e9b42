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

RejectionListener: TypeAlias = Callable[[str, str], None]
"""Told the ``clientRef`` and the reason."""


class Engine(Protocol):
    """Raises ``GatewayError`` for what a caller is to be told.

    ``send`` may raise one only when the message certainly did not leave; after any other
    exception its fate is unknown and ``trace`` is asked.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> tuple[str, ...]: ...

    @property
    def router(self) -> APIRouter | None:
        """Routes that only this engine has."""
        ...

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """The chance to stand between the server and the application."""
        ...

    async def start(self) -> None: ...

    def begin_stop(self) -> None:
        """The server is about to drain: let go of requests that are being held."""
        ...

    async def stop(self) -> None: ...

    def session_count(self) -> int: ...

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

    async def trace(self, client_ref: str) -> str | None:
        """The id under which WhatsApp has the message, or None: it never left."""
        ...

    def on_rejected(self, listener: RejectionListener) -> None:
        """Have ``listener`` told of each message that WhatsApp turned down after it was sent."""
        ...
