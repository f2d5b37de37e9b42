"""What people do with groups beyond syncing and listing them."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.clock import Clock
from groupline.db import Database, announce
from groupline.errors import Conflict, NotFound, NumberNotConnected
from groupline.gateways.port import ParticipantListing
from groupline.gateways.service import Gateways
from groupline.groups.queries import get_group
from groupline.groups.schemas import GroupView
from groupline.journal import Actor
from groupline.models import Gateway, WhatsappGroup, WhatsappMembership, WhatsappSession


@dataclass(frozen=True, slots=True)
class _Way:
    """A connected session of a number that is in the group."""

    jid: str
    gateway_session_id: str
    gateway: Gateway = field(repr=False)


async def group_of(session: AsyncSession, organization_id: UUID, group_id: UUID) -> GroupView:
    group = await get_group(session, organization_id, group_id)
    if group is None:
        raise NotFound("There is no such group.")
    return group


class GroupQuestions:
    """What is asked of a gateway about one group, when a person wants to know."""

    def __init__(self, database: Database, gateways: Gateways, clock: Clock) -> None:
        self._database = database
        self._gateways = gateways
        self._clock = clock

    async def fetch_invite_link(
        self, organization_id: UUID, group_id: UUID, *, actor: Actor
    ) -> GroupView:
        """Asks through a number that is an admin there, and keeps the link."""
        async with self._database.reading() as session:
            group = await group_of(session, organization_id, group_id)
            way = await _way_to(session, organization_id, group, as_admin=True)
        invite = await self._gateways.driver(way.gateway).invite(way.gateway_session_id, way.jid)
        async with self._database.writing() as session:
            await _keep_link(session, group, organization_id, invite.link)
            await journal.record(
                session,
                action="group.invite_link_fetched",
                actor=actor,
                organization_id=organization_id,
                subject="group",
                subject_id=group_id,
                data={"group": group.title},
                at=self._clock.now(),
            )
            return await group_of(session, organization_id, group_id)

    async def fetch_participants(self, organization_id: UUID, group_id: UUID) -> ParticipantListing:
        """Asks through any number that is in the group, and keeps how many there are."""
        async with self._database.reading() as session:
            group = await group_of(session, organization_id, group_id)
            way = await _way_to(session, organization_id, group, as_admin=False)
        asked_at = self._clock.now()
        driver = self._gateways.driver(way.gateway)
        listing = await driver.participants(way.gateway_session_id, way.jid)
        if listing.total != group.participant_count:
            async with self._database.writing() as session:
                await _keep_count(session, organization_id, group_id, listing.total, asked_at)
        return listing


async def _way_to(
    session: AsyncSession, organization_id: UUID, group: GroupView, *, as_admin: bool
) -> _Way:
    members = [one for one in group.active_memberships if one.is_admin or not as_admin]
    if not members:
        raise Conflict(
            "Only an admin of the group can see its invite link, and none of your numbers is one."
            if as_admin and group.active_memberships
            else "No number of yours is in this group any more.",
            state="not_an_admin" if group.active_memberships else "not_a_member",
        )
    row = (
        await session.execute(
            select(WhatsappSession.gateway_session_id, Gateway)
            .join(Gateway, Gateway.id == WhatsappSession.gateway_id)
            .join(
                WhatsappMembership,
                (WhatsappMembership.organization_id == WhatsappSession.organization_id)
                & (WhatsappMembership.number_id == WhatsappSession.number_id),
            )
            .where(WhatsappSession.organization_id == organization_id)
            .where(WhatsappSession.status == "connected")
            .where(WhatsappSession.number_id.in_([one.number_id for one in members]))
            .where(WhatsappMembership.group_id == group.id)
            .order_by(WhatsappMembership.is_admin.desc(), WhatsappSession.id)
            .limit(1)
        )
    ).one_or_none()
    if row is None:
        raise NumberNotConnected(
            "No number that could ask about this group is connected.",
            hint="Reconnect one under Settings → WhatsApp connection.",
            state="not_connected",
        )
    return _Way(group.jid, row.gateway_session_id, row.Gateway)


async def _keep_link(
    session: AsyncSession, group: GroupView, organization_id: UUID, link: str
) -> None:
    await session.execute(
        update(WhatsappGroup)
        .where(WhatsappGroup.organization_id == organization_id)
        .where(WhatsappGroup.id == group.id)
        .values(invite_link=link)
    )
    await announce(session, "groups", organization_id=organization_id, subject_id=group.id)


async def _keep_count(
    session: AsyncSession, organization_id: UUID, group_id: UUID, total: int, at: datetime
) -> None:
    await session.execute(
        update(WhatsappGroup)
        .where(WhatsappGroup.organization_id == organization_id)
        .where(WhatsappGroup.id == group_id)
        .values(participant_count=total, synced_at=at)
    )
    await announce(session, "groups", organization_id=organization_id, subject_id=group_id)
