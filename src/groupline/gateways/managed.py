"""The built-in gateway's row: the one that ``groupline up`` starts and registers by itself."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import read_credentials, write_credentials
from groupline.gateways.webhook_secrets import stored_secrets, write_webhook_secrets
from groupline.ids import new_id
from groupline.models import Gateway
from groupline.vault import Vault

_NAMES = {"simulator": "Simulated phones", "whatsmeow": "WhatsApp"}


@dataclass(frozen=True, slots=True)
class ManagedGateway:
    engine: Literal["simulator", "whatsmeow"]
    base_url: str
    api_key: str
    webhook_secret: str
    id: UUID | None = None


async def keep_managed_gateway(
    session: AsyncSession, vault: Vault, fresh: ManagedGateway, now: datetime
) -> ManagedGateway:
    """Registers the gateway on the first start, with the keys of ``fresh``. Later it keeps those
    of the first start and only follows the address. Answers what the gateway must be started with.
    """
    row = await session.scalar(select(Gateway).where(Gateway.managed_engine == fresh.engine))
    if row is None:
        row = _new_row(vault, fresh, now)
        session.add(row)
    if row.base_url != fresh.base_url:
        row.base_url = fresh.base_url
        await announce(session, "gateways", organization_id=None, subject_id=row.id)
    await session.flush()
    return replace(
        fresh,
        id=row.id,
        api_key=read_credentials(vault, row)[0],
        webhook_secret=stored_secrets(vault, row)[0].value,
    )


def _new_row(vault: Vault, fresh: ManagedGateway, now: datetime) -> Gateway:
    return Gateway(
        id=new_id(),
        name=_NAMES[fresh.engine],
        kind="groupline",
        managed_engine=fresh.engine,
        base_url=fresh.base_url,
        credentials=write_credentials(vault, fresh.api_key, AuthScheme.API_KEY),
        webhook_secrets=write_webhook_secrets(vault, [fresh.webhook_secret]),
        engine=fresh.engine,
        created_at=now,
    )
