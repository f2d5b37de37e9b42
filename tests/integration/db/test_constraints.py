"""Every check and every unique of the models is really there: each is broken once, and holds."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Index, Table, UniqueConstraint, update
from sqlalchemy.exc import IntegrityError
from tests.integration.db.tables import TABLES, key_of, make_row, value_of
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_campaign, make_event, make_step

from groupline.db import Database
from groupline.ids import new_id

# constraint: (what the row starts with, what must then be refused)
Breach = tuple[dict[str, Any], dict[str, Any]]

BREACHES: dict[str, list[Breach]] = {
    "ck_alert_channels_name": [({}, {"name": ""})],
    "ck_alert_deliveries_attempts": [({}, {"attempts": -1})],
    "ck_alert_deliveries_delivered": [({}, {"status": "delivered"})],
    "ck_alert_deliveries_status": [({}, {"status": "lost"})],
    "ck_alerts_count": [({}, {"count": 0})],
    "ck_alerts_raised": [({}, {"raised_at": NOW})],
    "ck_api_keys_name": [({}, {"name": ""})],
    "ck_event_variables_key": [({}, {"key": ""})],
    "ck_events_ends_at": [({}, {"ends_at": NOW})],
    "ck_events_kind": [({}, {"kind": "party"})],
    "ck_events_status": [({}, {"status": "late"})],
    "ck_events_timezone": [({}, {"timezone": ""})],
    "ck_events_title": [({}, {"title": ""})],
    "ck_gateways_base_url": [({}, {"base_url": ""})],
    "ck_gateways_kind": [({}, {"kind": "fax"})],
    "ck_gateways_managed_engine": [({}, {"managed_engine": "steam"})],
    "ck_gateways_max_in_flight": [({}, {"max_in_flight": 0})],
    "ck_gateways_name": [({}, {"name": ""})],
    "ck_idempotency_keys_answer": [
        ({}, {"status_code": 200}),
        ({}, {"response_body": "{}"}),
    ],
    "ck_idempotency_keys_key": [({}, {"key": ""}), ({}, {"key": "k" * 256})],
    "ck_inbound_events_next_try": [
        ({}, {"next_try_at": NOW, "processed_at": NOW, "outcome": "applied"})
    ],
    "ck_inbound_events_tries": [({}, {"tries": -1})],
    "ck_inbound_events_kind": [({}, {"kind": "rumour"})],
    "ck_inbound_events_outcome": [({}, {"outcome": "maybe"})],
    "ck_inbound_events_processed": [({}, {"processed_at": NOW})],
    "ck_journal_actor_kind": [({}, {"actor_kind": "ghost"})],
    "ck_leases_owner": [({}, {"owner": ""})],
    "ck_message_receipts_kind": [({}, {"kind": "smelt"})],
    "ck_message_receipts_reader": [({}, {"reader": ""})],
    "ck_notification_campaigns_delay_seconds": [({}, {"delay_seconds": -0.1})],
    "ck_notification_campaigns_late_minutes": [({}, {"late_minutes": 0})],
    "ck_notification_campaigns_media": [({}, {"media_url": "x"}), ({}, {"media_type": "image"})],
    "ck_notification_campaigns_media_type": [({}, {"media_url": "x", "media_type": "smell"})],
    "ck_notification_campaigns_name": [({}, {"name": ""})],
    "ck_notification_campaigns_scheduled": [({}, {"status": "scheduled"})],
    "ck_notification_campaigns_status": [({}, {"status": "viral"})],
    "ck_organization_members_role": [({}, {"role": "king"})],
    "ck_organizations_name": [({}, {"name": ""})],
    "ck_organizations_slug": [({}, {"slug": ""})],
    "ck_organizations_timezone": [({}, {"timezone": ""})],
    "ck_preflights_checked": [({}, {"findings": None})],
    "ck_preflights_point": [({}, {"point": "noon"})],
    "ck_preflights_turn": [
        ({"checked_at": None, "findings": None, "claimed_until": NOW}, {"claimed_until": None})
    ],
    "ck_scheduled_whatsapp_messages_accepted": [({}, {"status": "accepted"})],
    "ck_scheduled_whatsapp_messages_attempts": [({}, {"attempts": -1})],
    "ck_scheduled_whatsapp_messages_end_has_reason": [
        ({}, {"status": "failed"}),
        ({}, {"status": "expired"}),
        ({}, {"status": "uncertain"}),
    ],
    "ck_scheduled_whatsapp_messages_expires_at": [
        ({}, {"expires_at": NOW - timedelta(seconds=1)}),
    ],
    "ck_scheduled_whatsapp_messages_media": [({}, {"media_url": "x"})],
    "ck_scheduled_whatsapp_messages_media_type": [({}, {"media_url": "x", "media_type": "smell"})],
    "ck_scheduled_whatsapp_messages_origin": [
        ({}, {"event_id": "event", "campaign_id": "campaign"}),
    ],
    "ck_scheduled_whatsapp_messages_receipts": [
        ({}, {"delivered_count": -1}),
        ({}, {"read_count": -1}),
        ({}, {"anonymous_delivered_count": -1}),
        ({}, {"anonymous_read_count": -1}),
    ],
    "ck_scheduled_whatsapp_messages_sending": [
        ({"status": "sending"}, {"claimed_by": None}),
        ({"status": "sending"}, {"claimed_until": None}),
        ({"status": "sending"}, {"claim_token": None}),
    ],
    "ck_scheduled_whatsapp_messages_sent_has_evidence": [
        ({"status": "sent"}, {"sent_at": None}),
        ({"status": "sent"}, {"gateway_message_id": None}),
    ],
    "ck_scheduled_whatsapp_messages_status": [({}, {"status": "lost"})],
    "ck_scheduled_whatsapp_messages_step": [({}, {"step_id": "step"})],
    "ck_sequence_steps_late_minutes": [({}, {"late_minutes": 0})],
    "ck_sequence_steps_when": [
        ({}, {"offset_minutes": None}),
        ({}, {"day_offset": 1}),
        ({}, {"offset_minutes": None, "day_offset": 1}),
    ],
    "ck_sequences_name": [({}, {"name": ""})],
    "ck_setup_links_purpose": [({}, {"purpose": "fun"})],
    "ck_setup_links_user": [({}, {"purpose": "set_password"})],
    "ck_templates_media": [({}, {"media_url": "x"}), ({}, {"media_type": "image"})],
    "ck_templates_media_type": [({}, {"media_url": "x", "media_type": "smell"})],
    "ck_templates_name": [({}, {"name": ""})],
    "ck_users_email_case_folded": [({}, {"email": "Me@example.test"}), ({}, {"email": ""})],
    "ck_webhook_deliveries_attempts": [({}, {"attempts": -1})],
    "ck_webhook_deliveries_delivered": [({}, {"status": "delivered"})],
    "ck_webhook_deliveries_status": [({}, {"status": "lost"})],
    "ck_webhook_endpoints_url": [({}, {"url": ""})],
    "ck_whatsapp_groups_group_jid": [({}, {"group_jid": ""})],
    "ck_whatsapp_groups_participant_count": [({}, {"participant_count": -1})],
    "ck_whatsapp_memberships_missing_since": [
        ({}, {"is_active": False}),
        ({}, {"missing_since": NOW}),
    ],
    "ck_whatsapp_numbers_last_ended_reason": [({}, {"last_ended_reason": "boredom"})],
    "ck_whatsapp_numbers_pace_seconds": [({}, {"pace_seconds": -1})],
    "ck_whatsapp_numbers_phone_number": [
        ({}, {"phone_number": "+919876543210"}),
        ({}, {"phone_number": "919876 543210"}),
        ({}, {"phone_number": "123456"}),
        ({}, {"phone_number": "1234567890123456"}),
    ],
    "ck_whatsapp_numbers_standby": [({}, {"standby_number_id": "itself"})],
    "ck_whatsapp_sessions_connected": [
        ({}, {"number_id": None}),
        ({}, {"connected_at": None}),
        ({}, {"verified_at": None}),
        ({}, {"ended_reason": "user"}),
    ],
    "ck_whatsapp_sessions_disconnected": [
        ({"status": "disconnected"}, {"disconnected_at": None}),
        ({"status": "disconnected"}, {"ended_reason": None}),
    ],
    "ck_whatsapp_sessions_ended_reason": [({"status": "disconnected"}, {"ended_reason": "bored"})],
    "ck_whatsapp_sessions_obstacle": [({}, {"obstacle": "a mountain"})],
    "ck_whatsapp_sessions_logout": [({}, {"logout_confirmed_at": NOW})],
    "ck_whatsapp_sessions_pairing_code": [({}, {"pairing_code": "ABCD-EFGH"})],
    "ck_whatsapp_sessions_qr": [({}, {"qr_code": "2@qr"})],
    "ck_whatsapp_sessions_replaced": [
        ({"status": "disconnected"}, {"ended_reason": "replaced"}),
        ({}, {"replaced_by_id": new_id()}),
    ],
    "ck_whatsapp_sessions_status": [({"status": "connecting"}, {"status": "thinking"})],
    "ck_whatsapp_sessions_status_source": [({}, {"status_source": "rumour"})],
}

CHECKS = {
    str(constraint.name): table
    for table in TABLES.values()
    for constraint in table.constraints
    if isinstance(constraint, CheckConstraint)
}


def test_every_check_has_a_breach() -> None:
    assert set(BREACHES) == set(CHECKS)


@pytest.mark.parametrize(
    ("name", "breach"),
    [
        pytest.param(name, breach, id=f"{name}-{number}")
        for name, breaches in BREACHES.items()
        for number, breach in enumerate(breaches)
    ],
)
async def test_a_breach_of_a_check_is_refused(
    database: Database, cast: Cast, name: str, breach: Breach
) -> None:
    table = CHECKS[name]
    start, change = breach
    async with database.writing() as session:
        key = await make_row(session, table.name, cast.organization_id, **start)
        references = {
            "event": (await make_event(session, organization_id=cast.organization_id)).id,
            "campaign": (await make_campaign(session, organization_id=cast.organization_id)).id,
            "step": (await make_step(session, organization_id=cast.organization_id)).id,
            "itself": key,
        }
    values = {
        column: references.get(value, value) if column.endswith("_id") else value
        for column, value in change.items()
    }
    with pytest.raises(IntegrityError, match=name):
        async with database.writing() as session:
            await session.execute(update(table).where(key_of(table) == key).values(values))


def uniques() -> list[UniqueConstraint | Index]:
    """All but the keys that composite references need: the primary key implies those."""
    found: list[UniqueConstraint | Index] = []
    for table in TABLES.values():
        found += [c for c in table.constraints if isinstance(c, UniqueConstraint)]
        found += [index for index in table.indexes if index.unique]
    implied = {"organization_id", "id"}
    return sorted((u for u in found if set(u.columns.keys()) != implied), key=lambda u: str(u.name))


FIRST_ROW: dict[str, dict[str, Any]] = {
    "uq_gateways_managed_engine": {"managed_engine": "simulator"},
}
"""What is empty by default: two empty values are not the same."""


async def _two_rows(
    database: Database, cast: Cast, unique: UniqueConstraint | Index, start: dict[str, Any]
) -> tuple[Table, Any, dict[str, Any]]:
    """Two rows, and the values that make the second repeat the first."""
    table = unique.table
    assert table is not None
    async with database.writing() as session:
        only_first = FIRST_ROW.get(str(unique.name), {})
        first = await make_row(session, table.name, cast.organization_id, **start, **only_first)
        second = await make_row(session, table.name, cast.organization_id, **start)
        repeated = {
            column: await value_of(session, table, first, column)
            for column in unique.columns.keys()  # noqa: SIM118 - a collection of columns, no dict
        }
    return table, second, repeated


@pytest.mark.parametrize("unique", uniques(), ids=lambda unique: str(unique.name))
async def test_a_repetition_of_something_unique_is_refused(
    database: Database, cast: Cast, unique: UniqueConstraint | Index
) -> None:
    start = await _start_for(database, cast, str(unique.name))
    table, second, repeated = await _two_rows(database, cast, unique, start)
    with pytest.raises(IntegrityError, match=r"(?i)unique"):
        async with database.writing() as session:
            await session.execute(update(table).where(key_of(table) == second).values(repeated))


async def _start_for(database: Database, cast: Cast, unique: str) -> dict[str, Any]:
    """What rows need before a partial unique applies to them."""
    organization_id = cast.organization_id
    async with database.writing() as session:
        match unique:
            case "uq_preflights_turn":
                return {"point": "day"}
            case "uq_scheduled_whatsapp_messages_lane":
                return {"status": "sending"}
            case "uq_scheduled_whatsapp_messages_campaign":
                return {
                    "campaign_id": (
                        await make_campaign(session, organization_id=organization_id)
                    ).id
                }
            case "uq_scheduled_whatsapp_messages_step":
                event = await make_event(session, organization_id=organization_id)
                step = await make_step(session, organization_id=organization_id)
                return {"event_id": event.id, "step_id": step.id}
            case _:
                return {}


@pytest.mark.parametrize(
    ("name", "start", "aside"),
    [
        ("uq_whatsapp_sessions_connected", {"status": "disconnected"}, {}),
        ("uq_scheduled_whatsapp_messages_lane", {"status": "pending"}, {}),
        ("uq_scheduled_whatsapp_messages_lane", {"status": "accepted"}, {}),
        ("uq_scheduled_whatsapp_messages_lane", {"status": "uncertain"}, {}),
        ("uq_scheduled_whatsapp_messages_campaign", {}, {"status": "cancelled"}),
        ("uq_scheduled_whatsapp_messages_step", {}, {"status": "cancelled"}),
    ],
)
async def test_a_partial_unique_leaves_the_others_alone(
    database: Database, cast: Cast, name: str, start: dict[str, Any], aside: dict[str, Any]
) -> None:
    unique = next(each for each in uniques() if each.name == name)
    start = (await _start_for(database, cast, name)) | start
    table, second, repeated = await _two_rows(database, cast, unique, start)
    async with database.writing() as session:
        await session.execute(update(table).where(key_of(table) == second).values(repeated | aside))
