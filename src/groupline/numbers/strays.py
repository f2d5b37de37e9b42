"""Sessions that a gateway holds, and of which nothing is known here.

They may belong to another installation, or be left over from before. They are listed for the
administrator and never removed by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.errors import Conflict
from groupline.gateways.phone import display_phone
from groupline.gateways.port import Capability, GatewayDriver, HeldSession, ListsSessions
from groupline.gateways.service import get_gateway
from groupline.journal import Actor
from groupline.models import Gateway, PendingLogout, WhatsappNumber, WhatsappSession
from groupline.numbers.context import Context

Known = Literal["session", "being_logged_out", "nowhere"]


@dataclass(frozen=True, slots=True)
class Held:
    session: HeldSession
    known: Known
    is_own: bool = False
    """It is a session of the organization that asks; only of such a one the number is told."""
    name: str | None = None
    phone: str | None = None
    """Whole, and written for people."""


@dataclass(frozen=True, slots=True)
class Holding:
    gateway: Gateway
    held: Sequence[Held]
    limit: int | None = None
    """How many sessions the gateway takes."""
    memory_limit_mb: int | None = None
    """Of the process of one session."""

    @property
    def strays(self) -> int:
        return sum(1 for each in self.held if each.known == "nowhere")


async def held_sessions(context: Context, organization_id: UUID, gateway_id: UUID) -> Holding:
    """What the gateway holds; what is known nowhere here comes first. Raises what is wrong with it.

    All organizations share a gateway; the numbers of the others stay theirs.
    `Conflict` for a gateway that offers no such list.
    """
    gateway, driver = await _asked(context, gateway_id)
    listed = await driver.sessions()
    async with context.database.reading() as session:
        ids = [each.id for each in listed.sessions]
        known = await _known(session, gateway_id, ids)
        own = await _own(session, organization_id, gateway_id, ids)
    held = [
        Held(
            each,
            known.get(each.id, "nowhere"),
            each.id in own,
            *own.get(each.id, (None, None)),
        )
        for each in listed.sessions
    ]
    return Holding(
        gateway,
        sorted(held, key=lambda each: (each.known != "nowhere", each.name or "", each.session.id)),
        limit=listed.limit,
        memory_limit_mb=listed.memory_limit_mb,
    )


async def log_out_stray(context: Context, gateway_id: UUID, name: str, *, actor: Actor) -> None:
    """On the word of an administrator. One that is known here is not logged out this way."""
    async with context.database.reading() as session:
        gateway = await get_gateway(session, gateway_id)
        known = await _known(session, gateway_id, [name])
    if known.get(name) == "session":
        raise Conflict(
            "This session is known here.",
            hint="Disconnect its number, or delete it from the history.",
            state="known",
        )
    await context.gateways.driver(gateway).disconnect(name)
    async with context.database.writing() as session:
        await journal.record(
            session,
            action="gateway.stray_logged_out",
            actor=actor,
            organization_id=None,
            subject="gateway",
            subject_id=gateway_id,
            data={"name": gateway.name, "gatewaySessionId": name},
            at=context.clock.now(),
        )


def lists_sessions(gateway: Gateway) -> bool:
    return Capability.SESSIONS in (gateway.capabilities or ())


async def _asked(context: Context, gateway_id: UUID) -> tuple[Gateway, ListsSessions]:
    async with context.database.reading() as session:
        gateway = await get_gateway(session, gateway_id)
    driver: GatewayDriver = context.gateways.driver(gateway)
    if not lists_sessions(gateway) or not isinstance(driver, ListsSessions):
        raise Conflict(
            f"The gateway “{gateway.name}” does not list its sessions.",
            hint="What it holds can be seen at the gateway itself.",
            state="not_offered",
        )
    return gateway, driver


async def _own(
    session: AsyncSession, organization_id: UUID, gateway_id: UUID, names: Sequence[str]
) -> dict[str, tuple[str | None, str | None]]:
    """Name and phone of what is the organization's own."""
    of_number = (WhatsappNumber.organization_id == WhatsappSession.organization_id) & (
        WhatsappNumber.id == WhatsappSession.number_id
    )
    rows = await session.execute(
        select(
            WhatsappSession.gateway_session_id,
            WhatsappSession.label,
            WhatsappNumber.display_name,
            WhatsappNumber.phone_number,
        )
        .outerjoin(WhatsappNumber, of_number)
        .where(
            WhatsappSession.organization_id == organization_id,
            WhatsappSession.gateway_id == gateway_id,
            WhatsappSession.gateway_session_id.in_(names),
        )
    )
    return {
        row.gateway_session_id: (
            row.display_name or row.label,
            None if row.phone_number is None else display_phone(row.phone_number),
        )
        for row in rows
    }


async def _known(session: AsyncSession, gateway_id: UUID, names: Sequence[str]) -> dict[str, Known]:
    known: dict[str, Known] = {}
    for name in await session.scalars(
        select(PendingLogout.gateway_session_id).where(
            PendingLogout.gateway_id == gateway_id, PendingLogout.gateway_session_id.in_(names)
        )
    ):
        known[name] = "being_logged_out"
    for name in await session.scalars(
        select(WhatsappSession.gateway_session_id).where(
            WhatsappSession.gateway_id == gateway_id, WhatsappSession.gateway_session_id.in_(names)
        )
    ):
        known[name] = "session"
    return known
