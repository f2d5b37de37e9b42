"""A maker for a row of every table, for tests that walk all of them."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support import factories
from tests.support.clock import NOW

from groupline.ids import new_id
from groupline.models import Base

Maker = Callable[..., Awaitable[Any]]

TABLES = Base.metadata.tables

OF_ORGANIZATION: dict[str, Maker] = {
    "alert_channels": factories.make_alert_channel,
    "alert_deliveries": factories.make_alert_delivery,
    "alerts": factories.make_alert,
    "api_keys": factories.make_api_key,
    "campaign_groups": factories.make_campaign_group,
    "event_groups": factories.make_event_group,
    "event_variables": factories.make_event_variable,
    "events": factories.make_event,
    "idempotency_keys": factories.make_idempotency_key,
    "message_receipts": factories.make_receipt,
    "notification_campaigns": factories.make_campaign,
    "organization_members": factories.make_member,
    "preflights": factories.make_preflight,
    "scheduled_whatsapp_messages": factories.make_message,
    "sequence_steps": factories.make_step,
    "sequences": factories.make_sequence,
    "templates": factories.make_template,
    "webhook_deliveries": factories.make_webhook_delivery,
    "webhook_endpoints": factories.make_webhook_endpoint,
    "whatsapp_groups": factories.make_group,
    "whatsapp_memberships": factories.make_membership,
    "whatsapp_numbers": factories.make_number,
    "whatsapp_sessions": factories.make_session,
}
OF_INSTALLATION: dict[str, Maker] = {
    "gateways": factories.make_gateway,
    "inbound_events": factories.make_inbound_event,
    "logins": factories.make_login,
    "organizations": factories.make_organization,
    "pending_logouts": factories.make_pending_logout,
    "setup_links": factories.make_setup_link,
    "users": factories.make_user,
}
_PLAIN: dict[str, dict[str, Any]] = {
    "journal": {
        "transaction_id": 0,
        "at": NOW,
        "actor_kind": "system",
        "actor_label": "Groupline",
        "action": "test",
        "subject": "test",
        "data": {},
    },
    "journal_readers": {"transaction_id": 0, "position": 0},
    "leases": {"owner": "worker", "expires_at": NOW},
    "login_attempts": {"bucket_hash": "hash", "at": NOW},
}


async def make_row(session: AsyncSession, table: str, organization_id: UUID, **fields: Any) -> Any:
    """A valid row; returns the value of its primary key."""
    if table in OF_ORGANIZATION:
        row = await OF_ORGANIZATION[table](session, organization_id=organization_id, **fields)
        return row.id
    if table in OF_INSTALLATION:
        return (await OF_INSTALLATION[table](session, **fields)).id
    values = {"name": str(new_id())} if "name" in TABLES[table].c else {}
    statement = insert(TABLES[table]).values(**values, **_PLAIN[table], **fields)
    inserted = await session.execute(statement.returning(key_of(TABLES[table])))
    return inserted.scalar_one()


async def value_of(session: AsyncSession, table: Table, key: Any, column: str) -> Any:
    statement = select(table.c[column]).where(key_of(table) == key)
    return (await session.execute(statement)).scalar_one()


def key_of(table: Table) -> Any:
    (column,) = table.primary_key.columns
    return column
