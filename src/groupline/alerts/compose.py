"""What an alert says when it is raised: with what is so at that moment, not when it happened."""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.alerts import queries, texts
from groupline.alerts.texts import Said
from groupline.gateways.phone import display_phone
from groupline.models import (
    Alert,
    Event,
    Gateway,
    NotificationCampaign,
    Organization,
    WhatsappNumber,
)
from groupline.numbers.impact import IMPACT_WINDOW, impact_of


async def said_by(session: AsyncSession, alert: Alert, now: datetime) -> Said | None:
    """``None``: there is nothing to say any more, what it was about has passed."""
    organization = await session.get_one(Organization, alert.organization_id)
    zone = ZoneInfo(organization.timezone)
    match alert.subject:
        case "number":
            return await _of_number(session, alert, zone, now)
        case "gateway":
            return await _of_gateway(session, alert, zone)
        case "campaign":
            return await _of_campaign(session, alert)
        case _:
            return await _of_event(session, alert)


async def _of_number(
    session: AsyncSession, alert: Alert, zone: ZoneInfo, now: datetime
) -> Said | None:
    number = await session.get(WhatsappNumber, alert.subject_id)
    if number is None:
        return None
    phone = display_phone(number.phone_number)
    link = f"/settings/connection#number-{number.id}"
    match alert.kind:
        case "number.disconnected":
            return await _disconnected(session, alert, number, link=link, zone=zone, now=now)
        case "number.connected":
            since = datetime.fromisoformat(alert.data["since"])
            is_paused = number.paused_at is not None
            return texts.connected(phone, alert.happened_at - since, link, is_paused=is_paused)
        case "number.restricted":
            return texts.restricted(phone, alert.data, zone, link)
        case _:
            return await _of_messages(session, alert, number.id, phone)


async def _disconnected(
    session: AsyncSession,
    alert: Alert,
    number: WhatsappNumber,
    *,
    link: str,
    zone: ZoneInfo,
    now: datetime,
) -> Said | None:
    if await queries.is_connected(session, alert.organization_id, number.id):
        return None
    what = await impact_of(session, alert.organization_id, number.id, now)
    hours = IMPACT_WINDOW.seconds // 3600
    waits = texts.impact(what.messages_due, hours, what.next_message_at, zone, now)
    if what.next_event is not None:
        at = texts.moment(what.next_event.starts_at, zone)
        waits += f" Next: the {what.next_event.kind} “{what.next_event.title}”, {at}."
    phone = display_phone(number.phone_number)
    if number.restriction == "banned" and alert.data.get("obstacle") == "banned":
        return texts.banned(phone, number.restricted_until, waits, link, zone=zone, now=now)
    return texts.disconnected(phone, alert.data, waits, link)


async def _of_messages(
    session: AsyncSession, alert: Alert, number_id: UUID, phone: str
) -> Said | None:
    """Only what is still so: many an uncertain message settles itself, a failed one is retried."""
    _, _, status = alert.kind.partition(".")
    still = await queries.count_in_status(
        session, alert.organization_id, number_id, status, alert.happened_at
    )
    count = min(still, alert.count)
    if not count:
        return None
    return texts.messages(alert.kind, phone, count, alert.data.get("sentence"), str(number_id))


async def _of_gateway(session: AsyncSession, alert: Alert, zone: ZoneInfo) -> Said | None:
    gateway = await session.get(Gateway, alert.subject_id)
    if gateway is None:
        return None
    numbers = await queries.numbers_at(session, alert.organization_id, gateway.id)
    match alert.kind:
        case "gateway.unreachable":
            return texts.gateway_unreachable(
                gateway.name,
                texts.moment(alert.happened_at, zone),
                numbers,
                alert.data.get("error"),
            )
        case "gateway.refused":
            return texts.gateway_refused(gateway.name, numbers)
        case "gateway.reachable":
            since = datetime.fromisoformat(alert.data["since"])
            return texts.gateway_reachable(gateway.name, alert.happened_at - since)
        case _:
            return texts.webhooks_refused(gateway.name)


async def _of_campaign(session: AsyncSession, alert: Alert) -> Said | None:
    campaign = await session.get(NotificationCampaign, alert.subject_id)
    if campaign is None:
        return None
    counts = alert.data.get("counts", alert.data)
    return texts.campaign(campaign.name, counts, f"/campaigns/{campaign.id}")


async def _of_event(session: AsyncSession, alert: Alert) -> Said | None:
    event = await session.get(Event, alert.subject_id)
    if event is None or event.status != "planned":
        return None
    return texts.preflight(event.title, alert.data, f"/{event.kind}s/{event.id}")
