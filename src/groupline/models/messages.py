"""The outbox: one content to one group at one time."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import (
    OfOrganization,
    check,
    one_of,
    organization_key,
    within_organization,
)
from groupline.models.templates import MEDIA, MediaType

MessageStatus = Literal[
    "pending", "sending", "accepted", "sent", "uncertain", "failed", "expired", "cancelled"
]
ReceiptKind = Literal["delivered", "read"]


def _where(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


class ScheduledWhatsappMessage(OfOrganization):
    """``session_id``, the session that sent it, is a fact of history and no foreign key: a session
    can be deleted from the history without touching any of the messages it sent.
    """

    __tablename__ = "scheduled_whatsapp_messages"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("client_ref"),
        within_organization("number_id", "whatsapp_numbers"),
        within_organization("group_id", "whatsapp_groups"),
        within_organization("event_id", "events"),
        within_organization("campaign_id", "notification_campaigns"),
        within_organization("step_id", "sequence_steps"),
        # One of each, so that running a sequence twice, even at once, writes nothing twice.
        _where(
            "uq_scheduled_whatsapp_messages_step",
            *("event_id", "step_id", "group_id"),
            where="event_id IS NOT NULL AND status <> 'cancelled'",
            unique=True,
        ),
        _where(
            "uq_scheduled_whatsapp_messages_campaign",
            *("campaign_id", "group_id"),
            where="campaign_id IS NOT NULL AND status <> 'cancelled'",
            unique=True,
        ),
        # The lane: one message of a number is in flight, whoever claims.
        _where(
            "uq_scheduled_whatsapp_messages_lane",
            "number_id",
            where="status = 'sending'",
            unique=True,
        ),
        # What the loops look for: the next of a lane, due, late, abandoned, to be settled.
        _where(
            "ix_scheduled_whatsapp_messages_next",
            *("number_id", "priority", "scheduled_for", "id"),
            where="status = 'pending'",
        ),
        _where(
            "ix_scheduled_whatsapp_messages_due",
            "scheduled_for",
            where="status = 'pending'",
        ),
        _where(
            "ix_scheduled_whatsapp_messages_retry",
            "next_attempt_at",
            where="status = 'pending' AND next_attempt_at IS NOT NULL",
        ),
        _where(
            "ix_scheduled_whatsapp_messages_expiry",
            "expires_at",
            where="status = 'pending'",
        ),
        _where(
            "ix_scheduled_whatsapp_messages_unsettled",
            "next_check_at",
            where="status IN ('accepted', 'uncertain')",
        ),
        _where(
            "ix_scheduled_whatsapp_messages_in_flight",
            *("group_id", "session_id"),
            where="status IN ('accepted', 'uncertain')",
        ),
        _where(
            "ix_scheduled_whatsapp_messages_gateway_message",
            "gateway_message_id",
            where="gateway_message_id IS NOT NULL",
        ),
        # What people page through, newest first.
        Index("ix_scheduled_whatsapp_messages_list", "organization_id", "scheduled_for", "id"),
        Index(
            "ix_scheduled_whatsapp_messages_status",
            *("organization_id", "status", "scheduled_for", "id"),
        ),
        # Not by the number alone: a claim asks by that, and has an index of its own.
        Index(
            "ix_scheduled_whatsapp_messages_number",
            *("organization_id", "number_id", "scheduled_for", "id"),
        ),
        Index("ix_scheduled_whatsapp_messages_group", "group_id", "scheduled_for", "id"),
        _where(
            "ix_scheduled_whatsapp_messages_event",
            *("event_id", "scheduled_for", "id"),
            where="event_id IS NOT NULL",
        ),
        _where(
            "ix_scheduled_whatsapp_messages_campaign",
            *("campaign_id", "status", "scheduled_for", "id"),
            where="campaign_id IS NOT NULL",
        ),
        _where(
            "ix_scheduled_whatsapp_messages_of_step",
            "step_id",
            where="step_id IS NOT NULL",
        ),
        one_of("status", MessageStatus),
        one_of("media_type", MediaType),
        check("media", MEDIA),
        check("origin", "event_id IS NULL OR campaign_id IS NULL"),
        check("step", "step_id IS NULL OR event_id IS NOT NULL"),
        check("attempts", "attempts >= 0"),
        check(
            "receipts",
            "delivered_count >= 0 AND read_count >= 0"
            " AND anonymous_delivered_count >= 0 AND anonymous_read_count >= 0",
        ),
        check("expires_at", "expires_at >= scheduled_for"),
        check(
            "sending",
            "status <> 'sending' OR (claimed_by IS NOT NULL AND claimed_until IS NOT NULL"
            " AND claim_token IS NOT NULL)",
        ),
        check("accepted", "status <> 'accepted' OR accepted_at IS NOT NULL"),
        check(
            "sent_has_evidence",
            "status <> 'sent' OR (sent_at IS NOT NULL"
            " AND (gateway_message_id IS NOT NULL OR resolved_by IS NOT NULL))",
        ),
        check(
            "end_has_reason",
            "status NOT IN ('failed', 'expired', 'uncertain') OR error_code IS NOT NULL",
        ),
    )

    number_id: Mapped[UUID]
    group_id: Mapped[UUID]
    event_id: Mapped[UUID | None]
    campaign_id: Mapped[UUID | None]
    step_id: Mapped[UUID | None]

    content: Mapped[str]
    media_url: Mapped[str | None]
    media_type: Mapped[MediaType | None]
    scheduled_for: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    priority: Mapped[int] = mapped_column(SmallInteger)
    """Lower goes first: send now, then events, then campaigns."""

    status: Mapped[MessageStatus] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    """How often a gateway rejected it. Waiting for a number or a gateway does not count."""
    next_attempt_at: Mapped[datetime | None]
    client_ref: Mapped[str]
    """What the gateway knows it by."""

    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    claim_token: Mapped[UUID | None]
    """Fences off a worker whose lease ran out: results are stored by id and token."""
    session_id: Mapped[UUID | None]
    gateway_id: Mapped[UUID | None]
    """The gateway of the last attempt, unless that is known to have sent nothing: a fact as well,
    and no foreign key."""
    gateway_session_id: Mapped[str | None]
    """What that gateway calls the session; it can be asked when the session is history."""
    carried_ref: Mapped[bool | None]
    """That attempt told the gateway our reference: only then is its no about this message."""
    request_started_at: Mapped[datetime | None]
    """Committed before the request is written: while it is empty, nothing left under this claim."""

    gateway_message_id: Mapped[str | None]
    accepted_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None]
    """When the reconciler asks again."""
    delivered_count: Mapped[int] = mapped_column(default=0)
    read_count: Mapped[int] = mapped_column(default=0)
    anonymous_delivered_count: Mapped[int] = mapped_column(default=0)
    anonymous_read_count: Mapped[int] = mapped_column(default=0)
    first_receipt_at: Mapped[datetime | None]
    """Empty means "not yet", which is not zero."""

    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    """For people."""
    vps_error: Mapped[str | None]
    """What the gateway answered, with its HTTP status."""
    resolved_by: Mapped[str | None]
    """The person whose word the outcome rests on."""
    resolved_at: Mapped[datetime | None]
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class MessageReceipt(OfOrganization):
    __tablename__ = "message_receipts"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("message_id", "reader", "kind"),
        within_organization("message_id", "scheduled_whatsapp_messages"),
        one_of("kind", ReceiptKind),
        check("reader", "reader <> ''"),
    )

    message_id: Mapped[UUID]
    reader: Mapped[str]
    """A phone number or a LID. Receipts without one are only counted, on the message."""
    kind: Mapped[ReceiptKind]
    at: Mapped[datetime]
