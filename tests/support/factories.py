"""Rows for tests: every factory makes a valid row, and the rows it needs, unless they are given."""

import itertools
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.clock import NOW

from groupline.ids import new_id
from groupline.models import (
    Alert,
    AlertChannel,
    AlertDelivery,
    ApiKey,
    Base,
    CampaignGroup,
    Event,
    EventGroup,
    EventVariable,
    Gateway,
    IdempotencyKey,
    InboundEvent,
    Login,
    MessageReceipt,
    NotificationCampaign,
    Organization,
    OrganizationMember,
    PendingLogout,
    Preflight,
    ScheduledWhatsappMessage,
    Sequence,
    SequenceStep,
    SessionStatus,
    SetupLink,
    Template,
    User,
    WebhookDelivery,
    WebhookEndpoint,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)

_Row = TypeVar("_Row", bound=Base)
_counter = itertools.count(1)


async def _add(session: AsyncSession, row: _Row) -> _Row:
    session.add(row)
    await session.flush()
    return row


async def make_organization(session: AsyncSession, **fields: Any) -> Organization:
    n = next(_counter)
    defaults = {
        "name": f"Organization {n}",
        "slug": f"organization-{n}",
        "timezone": "Asia/Kolkata",
        "created_at": NOW,
    }
    return await _add(session, Organization(**defaults | fields))


async def make_user(session: AsyncSession, **fields: Any) -> User:
    n = next(_counter)
    defaults = {"email": f"user{n}@example.test", "name": f"User {n}", "created_at": NOW}
    return await _add(session, User(**defaults | fields))


async def make_member(
    session: AsyncSession, *, organization_id: UUID, user_id: UUID | None = None, **fields: Any
) -> OrganizationMember:
    defaults = {
        "organization_id": organization_id,
        "user_id": user_id or (await make_user(session)).id,
        "role": "operator",
        "created_at": NOW,
    }
    return await _add(session, OrganizationMember(**defaults | fields))


async def make_api_key(session: AsyncSession, *, organization_id: UUID, **fields: Any) -> ApiKey:
    n = next(_counter)
    defaults = {
        "organization_id": organization_id,
        "name": f"Key {n}",
        "prefix": f"glk_{n}",
        "key_hash": f"hash-{n}",
        "scopes": ["read"],
        "created_at": NOW,
    }
    return await _add(session, ApiKey(**defaults | fields))


async def make_idempotency_key(
    session: AsyncSession, *, organization_id: UUID, **fields: Any
) -> IdempotencyKey:
    defaults = {
        "organization_id": organization_id,
        "key": f"key-{next(_counter)}",
        "request_hash": "hash",
        "created_at": NOW,
    }
    return await _add(session, IdempotencyKey(**defaults | fields))


async def make_gateway(session: AsyncSession, **fields: Any) -> Gateway:
    n = next(_counter)
    defaults = {
        "name": f"Gateway {n}",
        "kind": "groupline",
        "base_url": "http://127.0.0.1:9",
        "credentials": "encrypted",
        "created_at": NOW,
    }
    return await _add(session, Gateway(**defaults | fields))


async def make_number(
    session: AsyncSession, *, organization_id: UUID, **fields: Any
) -> WhatsappNumber:
    defaults = {
        "organization_id": organization_id,
        "phone_number": f"9190000{next(_counter):05d}",
        "created_at": NOW,
    }
    return await _add(session, WhatsappNumber(**defaults | fields))


_SESSION_FACTS: dict[SessionStatus, dict[str, Any]] = {
    "connecting": {},
    "qr_pending": {"qr_code": "2@qr", "qr_expires_at": NOW + timedelta(seconds=20)},
    "connected": {"connected_at": NOW, "verified_at": NOW},
    "disconnected": {"disconnected_at": NOW, "ended_reason": "logged_out"},
}


async def make_session(
    session: AsyncSession,
    *,
    organization_id: UUID,
    status: SessionStatus = "connected",
    number_id: UUID | None = None,
    gateway_id: UUID | None = None,
    **fields: Any,
) -> WhatsappSession:
    """A connected or disconnected one gets a number; one that is being paired has none yet."""
    if number_id is None and status in {"connected", "disconnected"} and "number_id" not in fields:
        number_id = (await make_number(session, organization_id=organization_id)).id
    session_id = fields.pop("id", None) or new_id()
    defaults = {
        "id": session_id,
        "organization_id": organization_id,
        "number_id": number_id,
        "gateway_id": gateway_id or (await make_gateway(session)).id,
        "gateway_session_id": f"wa_{session_id}",
        "status": status,
        "status_source": "gateway",
        "status_at": NOW,
        "pairing_started_at": NOW,
        "created_at": NOW,
    }
    return await _add(session, WhatsappSession(**defaults | _SESSION_FACTS[status] | fields))


async def make_group(
    session: AsyncSession, *, organization_id: UUID, **fields: Any
) -> WhatsappGroup:
    n = next(_counter)
    defaults = {
        "organization_id": organization_id,
        "group_jid": f"1203630000{n:08d}@g.us",
        "group_name": f"Group {n}",
        "participant_count": 10,
        "synced_at": NOW,
        "created_at": NOW,
    }
    return await _add(session, WhatsappGroup(**defaults | fields))


async def make_membership(
    session: AsyncSession,
    *,
    organization_id: UUID,
    number_id: UUID | None = None,
    group_id: UUID | None = None,
    **fields: Any,
) -> WhatsappMembership:
    number_id = number_id or (await make_number(session, organization_id=organization_id)).id
    group_id = group_id or (await make_group(session, organization_id=organization_id)).id
    defaults = {
        "organization_id": organization_id,
        "number_id": number_id,
        "group_id": group_id,
        "synced_at": NOW,
        "created_at": NOW,
    }
    return await _add(session, WhatsappMembership(**defaults | fields))


async def make_template(session: AsyncSession, *, organization_id: UUID, **fields: Any) -> Template:
    defaults = {
        "organization_id": organization_id,
        "name": f"Template {next(_counter)}",
        "content": "Hello",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return await _add(session, Template(**defaults | fields))


async def make_sequence(session: AsyncSession, *, organization_id: UUID, **fields: Any) -> Sequence:
    defaults = {
        "organization_id": organization_id,
        "name": f"Sequence {next(_counter)}",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return await _add(session, Sequence(**defaults | fields))


async def make_step(
    session: AsyncSession,
    *,
    organization_id: UUID,
    sequence_id: UUID | None = None,
    template_id: UUID | None = None,
    **fields: Any,
) -> SequenceStep:
    sequence_id = sequence_id or (await make_sequence(session, organization_id=organization_id)).id
    template_id = template_id or (await make_template(session, organization_id=organization_id)).id
    defaults: dict[str, Any] = {
        "organization_id": organization_id,
        "sequence_id": sequence_id,
        "template_id": template_id,
        "position": 1,
        "created_at": NOW,
    }
    if "day_offset" not in fields:
        defaults["offset_minutes"] = -60
    return await _add(session, SequenceStep(**defaults | fields))


async def make_event(session: AsyncSession, *, organization_id: UUID, **fields: Any) -> Event:
    defaults = {
        "organization_id": organization_id,
        "kind": "workshop",
        "title": f"Workshop {next(_counter)}",
        "starts_at": NOW + timedelta(days=2),
        "ends_at": NOW + timedelta(days=2, hours=2),
        "timezone": "Asia/Kolkata",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return await _add(session, Event(**defaults | fields))


async def make_event_group(
    session: AsyncSession,
    *,
    organization_id: UUID,
    event_id: UUID | None = None,
    group_id: UUID | None = None,
) -> EventGroup:
    return await _add(
        session,
        EventGroup(
            organization_id=organization_id,
            event_id=event_id or (await make_event(session, organization_id=organization_id)).id,
            group_id=group_id or (await make_group(session, organization_id=organization_id)).id,
            created_at=NOW,
        ),
    )


async def make_event_variable(
    session: AsyncSession, *, organization_id: UUID, event_id: UUID | None = None, **fields: Any
) -> EventVariable:
    defaults = {
        "organization_id": organization_id,
        "event_id": event_id or (await make_event(session, organization_id=organization_id)).id,
        "key": f"key_{next(_counter)}",
        "value": "value",
        "updated_at": NOW,
    }
    return await _add(session, EventVariable(**defaults | fields))


async def make_preflight(
    session: AsyncSession, *, organization_id: UUID, event_id: UUID | None = None, **fields: Any
) -> Preflight:
    defaults: dict[str, Any] = {
        "organization_id": organization_id,
        "event_id": event_id or (await make_event(session, organization_id=organization_id)).id,
        "point": "button",
        "starts_at": NOW + timedelta(days=2),
        "checked_at": NOW,
        "findings": {"items": []},
    }
    return await _add(session, Preflight(**defaults | fields))


async def make_campaign(
    session: AsyncSession, *, organization_id: UUID, number_id: UUID | None = None, **fields: Any
) -> NotificationCampaign:
    number_id = number_id or (await make_number(session, organization_id=organization_id)).id
    defaults = {
        "organization_id": organization_id,
        "number_id": number_id,
        "name": f"Campaign {next(_counter)}",
        "content": "Hello",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return await _add(session, NotificationCampaign(**defaults | fields))


async def make_campaign_group(
    session: AsyncSession,
    *,
    organization_id: UUID,
    campaign_id: UUID | None = None,
    group_id: UUID | None = None,
) -> CampaignGroup:
    inside = {"organization_id": organization_id}
    return await _add(
        session,
        CampaignGroup(
            organization_id=organization_id,
            campaign_id=campaign_id or (await make_campaign(session, **inside)).id,
            group_id=group_id or (await make_group(session, **inside)).id,
            created_at=NOW,
        ),
    )


_MESSAGE_FACTS: dict[str, dict[str, Any]] = {
    "sending": {
        "claimed_by": "worker",
        "claimed_until": NOW + timedelta(minutes=1),
        "claim_token": UUID(int=1),
    },
    "accepted": {"accepted_at": NOW},
    "sent": {"accepted_at": NOW, "sent_at": NOW, "gateway_message_id": "3EB0"},
    "uncertain": {"error_code": "timeout"},
    "failed": {"error_code": "rejected"},
    "expired": {"error_code": "expired"},
}


async def make_message(
    session: AsyncSession,
    *,
    organization_id: UUID,
    number_id: UUID | None = None,
    group_id: UUID | None = None,
    status: str = "pending",
    **fields: Any,
) -> ScheduledWhatsappMessage:
    """Due now, with the facts that its status needs."""
    number_id = number_id or (await make_number(session, organization_id=organization_id)).id
    group_id = group_id or (await make_group(session, organization_id=organization_id)).id
    defaults = {
        "organization_id": organization_id,
        "number_id": number_id,
        "group_id": group_id,
        "content": "Hello",
        "scheduled_for": NOW,
        "priority": 0,
        "status": status,
        "client_ref": str(new_id()),
        "created_at": NOW,
        "updated_at": NOW,
    }
    facts = _MESSAGE_FACTS.get(status, {})
    return await _add(session, ScheduledWhatsappMessage(**defaults | facts | fields))


async def make_receipt(
    session: AsyncSession, *, organization_id: UUID, message_id: UUID | None = None, **fields: Any
) -> MessageReceipt:
    if message_id is None:
        message_id = (
            await make_message(session, organization_id=organization_id, status="sent")
        ).id
    defaults = {
        "organization_id": organization_id,
        "message_id": message_id,
        "reader": f"9199000{next(_counter):05d}",
        "kind": "delivered",
        "at": NOW,
    }
    return await _add(session, MessageReceipt(**defaults | fields))


async def make_webhook_endpoint(
    session: AsyncSession, *, organization_id: UUID, **fields: Any
) -> WebhookEndpoint:
    defaults = {
        "organization_id": organization_id,
        "url": "http://127.0.0.1:9/hook",
        "secret": "encrypted",
        "event_types": ["message.sent"],
        "created_at": NOW,
    }
    return await _add(session, WebhookEndpoint(**defaults | fields))


async def make_webhook_delivery(
    session: AsyncSession, *, organization_id: UUID, endpoint_id: UUID | None = None, **fields: Any
) -> WebhookDelivery:
    if endpoint_id is None:
        endpoint_id = (await make_webhook_endpoint(session, organization_id=organization_id)).id
    defaults = {
        "organization_id": organization_id,
        "endpoint_id": endpoint_id,
        "journal_id": new_id(),
        "event_type": "message.sent",
        "payload": {},
        "next_attempt_at": NOW,
        "created_at": NOW,
    }
    return await _add(session, WebhookDelivery(**defaults | fields))


async def make_alert_channel(
    session: AsyncSession, *, organization_id: UUID, **fields: Any
) -> AlertChannel:
    defaults = {
        "organization_id": organization_id,
        "name": f"Channel {next(_counter)}",
        "url": "encrypted",
        "kinds": ["number.disconnected"],
        "created_at": NOW,
    }
    return await _add(session, AlertChannel(**defaults | fields))


async def make_alert(session: AsyncSession, *, organization_id: UUID, **fields: Any) -> Alert:
    defaults = {
        "organization_id": organization_id,
        "kind": "number.disconnected",
        "key": f"key-{next(_counter)}",
        "subject": "number",
        "data": {},
        "happened_at": NOW,
        "due_at": NOW,
        "created_at": NOW,
    }
    return await _add(session, Alert(**defaults | fields))


async def make_alert_delivery(
    session: AsyncSession,
    *,
    organization_id: UUID,
    alert_id: UUID | None = None,
    channel_id: UUID | None = None,
    **fields: Any,
) -> AlertDelivery:
    inside = {"organization_id": organization_id}
    defaults = {
        "organization_id": organization_id,
        "alert_id": alert_id or (await make_alert(session, **inside)).id,
        "channel_id": channel_id or (await make_alert_channel(session, **inside)).id,
        "next_attempt_at": NOW,
        "created_at": NOW,
    }
    return await _add(session, AlertDelivery(**defaults | fields))


async def make_login(session: AsyncSession, *, user_id: UUID | None = None, **fields: Any) -> Login:
    defaults = {
        "token_hash": f"hash-{next(_counter)}",
        "user_id": user_id or (await make_user(session)).id,
        "created_at": NOW,
        "last_seen_at": NOW,
        "expires_at": NOW + timedelta(days=30),
    }
    return await _add(session, Login(**defaults | fields))


async def make_setup_link(session: AsyncSession, **fields: Any) -> SetupLink:
    defaults = {
        "token_hash": f"hash-{next(_counter)}",
        "purpose": "first_run",
        "created_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
    }
    return await _add(session, SetupLink(**defaults | fields))


async def make_pending_logout(
    session: AsyncSession, *, gateway_id: UUID | None = None, **fields: Any
) -> PendingLogout:
    defaults = {
        "gateway_id": gateway_id or (await make_gateway(session)).id,
        "gateway_session_id": f"wa_deleted_{next(_counter)}",
        "requested_at": NOW,
        "next_try_at": NOW,
    }
    return await _add(session, PendingLogout(**defaults | fields))


async def make_inbound_event(
    session: AsyncSession, *, gateway_id: UUID | None = None, **fields: Any
) -> InboundEvent:
    defaults = {
        "gateway_id": gateway_id or (await make_gateway(session)).id,
        "content_hash": f"hash-{next(_counter)}",
        "kind": "status",
        "payload": {},
        "received_at": NOW,
    }
    return await _add(session, InboundEvent(**defaults | fields))
