"""Numbers, the identity everything refers to, and their sessions, the pairings with a gateway."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import (
    Identified,
    OfOrganization,
    check,
    one_of,
    organization_key,
    within_organization,
)

SessionStatus = Literal["connecting", "qr_pending", "connected", "disconnected"]
StatusSource = Literal["gateway", "webhook", "user", "sweeper"]
EndedReason = Literal[
    "logged_out",
    "replaced",
    "expired",
    "unknown_to_gateway",
    "disconnected",
    "user",
    "cancelled",
    "deleted_at_gateway",
    "other_phone",
]
SessionObstacle = Literal["banned", "outdated", "whatsapp_unreachable", "trying"]
"""What keeps a session from being connected, whoever asks for it. ``trying``: something else, and
its gateway goes on trying."""

_CONNECTED = text("status = 'connected'")
_SYNC_DUE = text("groups_sync_due_at IS NOT NULL")
_BEING_PAIRED = text("status IN ('connecting', 'qr_pending')")
_TO_VERIFY = text("next_verify_at IS NOT NULL")
_TO_LOG_OUT = text("logout_requested_at IS NOT NULL AND logout_confirmed_at IS NULL")


class WhatsappNumber(OfOrganization):
    __tablename__ = "whatsapp_numbers"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "phone_number"),
        within_organization("standby_number_id", "whatsapp_numbers"),
        Index(
            "ix_whatsapp_numbers_sync",
            "groups_sync_due_at",
            sqlite_where=_SYNC_DUE,
            postgresql_where=_SYNC_DUE,
        ),
        # Trimming all digits leaves nothing: the same on both databases, without patterns.
        check(
            "phone_number",
            "length(phone_number) BETWEEN 7 AND 15 AND trim(phone_number, '0123456789') = ''",
        ),
        check("pace_seconds", "pace_seconds >= 0"),
        check("standby", "standby_number_id <> id"),
        one_of("last_ended_reason", EndedReason),
    )

    phone_number: Mapped[str]
    """E.164 digits: no plus, no device part."""
    display_name: Mapped[str | None]
    pace_seconds: Mapped[float] = mapped_column(default=1.0)
    standby_number_id: Mapped[UUID | None]
    paused_at: Mapped[datetime | None]
    lane_free_at: Mapped[datetime | None]
    """No message leaves before this: the pace, or a pause that the gateway asked for."""
    lane_hold_reason: Mapped[str | None]
    last_send_at: Mapped[datetime | None]
    last_ack_at: Mapped[datetime | None]
    unacknowledged: Mapped[int] = mapped_column(default=0)
    """Sends in a row that nobody acknowledged."""
    restriction: Mapped[str | None]
    restricted_until: Mapped[datetime | None]
    groups_sync_due_at: Mapped[datetime | None]
    """Set it to now to ask for a sync of the groups; a sync sets the next one."""
    synced_at: Mapped[datetime | None]
    last_sync: Mapped[dict[str, Any] | None]
    """The answer of the last group sync, good or bad."""
    last_connected_at: Mapped[datetime | None]
    """Kept with the number, as the next two are: the session that tells it may be deleted."""
    last_disconnected_at: Mapped[datetime | None]
    last_ended_reason: Mapped[EndedReason | None]
    created_at: Mapped[datetime]


class WhatsappSession(OfOrganization):
    """One pairing. It owns nothing; deleting it from the history loses only that line.

    ``replaced_by_id`` is a fact of history and no foreign key: it outlives the session it names.
    """

    __tablename__ = "whatsapp_sessions"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("gateway_session_id"),
        within_organization("number_id", "whatsapp_numbers"),
        within_organization("expected_number_id", "whatsapp_numbers"),
        Index(
            "uq_whatsapp_sessions_connected",
            "organization_id",
            "number_id",
            unique=True,
            sqlite_where=_CONNECTED,
            postgresql_where=_CONNECTED,
        ),
        Index("ix_whatsapp_sessions_list", "organization_id", "created_at", "id"),
        Index("ix_whatsapp_sessions_number", "number_id", "created_at"),
        Index("ix_whatsapp_sessions_gateway", "gateway_id"),
        Index(
            "ix_whatsapp_sessions_verify",
            "next_verify_at",
            sqlite_where=_TO_VERIFY,
            postgresql_where=_TO_VERIFY,
        ),
        Index(
            "ix_whatsapp_sessions_pairing",
            "pairing_started_at",
            sqlite_where=_BEING_PAIRED,
            postgresql_where=_BEING_PAIRED,
        ),
        Index(
            "ix_whatsapp_sessions_logout",
            "logout_requested_at",
            sqlite_where=_TO_LOG_OUT,
            postgresql_where=_TO_LOG_OUT,
        ),
        one_of("status", SessionStatus),
        one_of("status_source", StatusSource),
        one_of("ended_reason", EndedReason),
        one_of("obstacle", SessionObstacle),
        check(
            "connected",
            "status <> 'connected' OR (number_id IS NOT NULL AND connected_at IS NOT NULL"
            " AND verified_at IS NOT NULL AND ended_reason IS NULL)",
        ),
        check(
            "disconnected",
            "status <> 'disconnected'"
            " OR (disconnected_at IS NOT NULL AND ended_reason IS NOT NULL)",
        ),
        check(
            "replaced", "(coalesce(ended_reason, '') = 'replaced') = (replaced_by_id IS NOT NULL)"
        ),
        check("qr", "qr_code IS NULL OR status = 'qr_pending'"),
        check("pairing_code", "pairing_code IS NULL OR status IN ('connecting', 'qr_pending')"),
        check("logout", "logout_confirmed_at IS NULL OR logout_requested_at IS NOT NULL"),
    )

    number_id: Mapped[UUID | None]
    """Unknown until it is paired, then never erased or changed."""
    expected_number_id: Mapped[UUID | None]
    """The number that a reconnect wants back; another phone may scan."""
    gateway_id: Mapped[UUID] = mapped_column(ForeignKey("gateways.id"))
    gateway_session_id: Mapped[str]
    label: Mapped[str | None]
    status: Mapped[SessionStatus]
    status_source: Mapped[StatusSource]
    status_at: Mapped[datetime]
    """The time of the newest report that was applied: an older one undoes nothing."""
    status_detail: Mapped[str | None]
    """What the gateway said, where it said more than a status."""
    obstacle: Mapped[SessionObstacle | None]
    """What it meant by that, or by the end of the session, if it is one of these."""
    verified_at: Mapped[datetime | None]
    next_verify_at: Mapped[datetime | None]
    """When the gateway is asked next: for the status, or to log an ended session out."""
    doubted_at: Mapped[datetime | None]
    """First reading that disagreed with the status; a second one decides."""
    qr_code: Mapped[str | None]
    qr_expires_at: Mapped[datetime | None]
    pairing_code: Mapped[str | None]
    pairing_started_at: Mapped[datetime]
    """When a person last asked for this pairing. Of two pairings of a number the newer one wins."""
    connected_at: Mapped[datetime | None]
    disconnected_at: Mapped[datetime | None]
    ended_reason: Mapped[EndedReason | None]
    replaced_by_id: Mapped[UUID | None]
    logout_requested_at: Mapped[datetime | None]
    logout_confirmed_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    last_error_at: Mapped[datetime | None]
    proxy: Mapped[str | None]
    """Encrypted."""
    migration: Mapped[dict[str, Any] | None]
    """Counts of what followed the number to this session."""
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]


class PendingLogout(Identified):
    """A session that was deleted from the history before its gateway let go of it."""

    __tablename__ = "pending_logouts"
    __table_args__ = (Index("ix_pending_logouts_due", "next_try_at"),)

    gateway_id: Mapped[UUID] = mapped_column(ForeignKey("gateways.id"))
    gateway_session_id: Mapped[str]
    requested_at: Mapped[datetime]
    next_try_at: Mapped[datetime]
