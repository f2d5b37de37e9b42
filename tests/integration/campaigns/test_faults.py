"""A campaign while its gateway drops answers and dies, and its worker is killed."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import func, select
from tests.integration.messages.fault_campaign import ROOT, SEED, Campaign
from tests.integration.messages.outbox import OWN_CAPABILITIES, PERSON
from tests.support.factories import (
    make_gateway,
    make_group,
    make_membership,
    make_number,
    make_organization,
    make_session,
)
from tests.support.gateway import API_KEY, GatewayClient, gateway_process
from tests.support.keys import SECRET_KEY

from groupline.campaigns import service
from groupline.campaigns.schemas import NewCampaign
from groupline.clock import SystemClock
from groupline.db import Database
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.ids import new_id
from groupline.models import JournalEntry, NotificationCampaign, ScheduledWhatsappMessage
from groupline.vault import Vault

GROUPS: Final = 24
KILLS: Final = 1
DEADLINE: Final = 120.0
FAULTS: Final[tuple[Mapping[str, Any], ...]] = (
    {"kind": "reset_before", "route": "send", "probability": 0.05},
    {"kind": "reset_after", "route": "send", "probability": 0.15},
    {"kind": "error", "route": "send", "probability": 0.05, "carriedOut": True},
    {"kind": "crash_after", "route": "send", "probability": 0.1, "times": 1},
    {"kind": "reset_before", "route": "message-status", "probability": 0.1},
)
OPEN: Final = ("pending", "sending", "accepted", "uncertain")
campaign, message = NotificationCampaign, ScheduledWhatsappMessage


class Faulty(Campaign):
    """Its workers also begin and end campaigns."""

    async def start_worker(self) -> None:
        self.workers.append(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.campaigns.worker", self.url),
                cwd=ROOT,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        )


async def fill(faulty: Faulty, client: GatewayClient) -> UUID:
    """A number in many groups, and a campaign to all of them."""
    session_id, phone = new_id(), "919700000001"
    listed = [{"name": f"G{n}"} for n in range(GROUPS)]
    jids = await client.connect(f"wa_{session_id}", phone, listed)
    vault, clock = Vault(SECRET_KEY), SystemClock()
    async with faulty.database.writing() as session:
        organization_id = (await make_organization(session)).id
        inside: dict[str, Any] = {"organization_id": organization_id}
        gateway = await make_gateway(
            session,
            base_url=client.url,
            credentials=write_credentials(vault, API_KEY, AuthScheme.API_KEY),
            capabilities=OWN_CAPABILITIES,
        )
        number = await make_number(session, **inside, phone_number=phone, pace_seconds=0.0)
        told: dict[str, Any] = {"number_id": number.id, "gateway_id": gateway.id}
        await make_session(session, **inside, id=session_id, **told)
        groups = []
        for n, jid in enumerate(jids):
            group = await make_group(session, **inside, group_jid=jid, group_name=f"G{n}")
            await make_membership(session, **inside, number_id=number.id, group_id=group.id)
            groups.append(group.id)
        wanted = NewCampaign(
            "Spring", number.id, groups, content="Hello {group_name}", delay_seconds=0.0, start=True
        )
        written = await service.create(
            session, organization_id, wanted, actor=PERSON, now=clock.now()
        )
    return written.id


@asynccontextmanager
async def opened(
    database: Database, url: str, directory: Path
) -> AsyncIterator[tuple[Faulty, UUID]]:
    async with gateway_process(directory) as gateway:
        faulty = Faulty(
            url=url,
            database=database,
            directory=directory,
            gateway=gateway,
            dice=random.Random(SEED),
            knows_references=True,
            faults=FAULTS,
        )
        async with gateway.client() as client:
            campaign_id = await fill(faulty, client)
        keeper = asyncio.create_task(faulty.keep_gateway())
        await faulty.arm()
        await faulty.start_worker()
        try:
            yield faulty, campaign_id
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            for worker in faulty.workers:
                with contextlib.suppress(ProcessLookupError):
                    worker.terminate()
                await worker.wait()


async def look(database: Database) -> tuple[str, int, int]:
    """How the campaign stands, how many messages are open, and how many never had an attempt."""
    statement = (
        select(
            campaign.status,
            func.count().filter(message.status.in_(OPEN)),
            func.count().filter(message.status == "pending"),
        )
        .join(message, message.campaign_id == campaign.id)
        .group_by(campaign.id)
    )
    async with database.reading() as session:
        row = (await session.execute(statement)).one()
    return row[0], row[1], row[2]


async def until(database: Database, left: int) -> None:
    """Until so few messages wait. The campaign is never over before its messages are."""
    async with asyncio.timeout(DEADLINE):
        while True:
            status, still_open, pending = await look(database)
            assert status == "sending" or not still_open, (status, still_open)
            if pending <= left and (left or status != "sending"):
                return
            await asyncio.sleep(0.05)


@pytest.mark.timeout(300)
async def test_each_group_gets_one_copy_and_the_end_is_told_once(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with opened(database, database_url, tmp_path / "gateway") as (faulty, campaign_id):
        for n in range(KILLS):
            await until(database, GROUPS * (KILLS - n) // (KILLS + 1))
            await faulty.kill_a_worker()
            await faulty.restart_gateway()
        await faulty.disarm()
        await until(database, 0)

        assert faulty.kills == KILLS
        status, still_open, _ = await look(database)
        assert (status, still_open) == ("completed", 0)
        copies = await faulty.copies()
        assert copies == {f"Hello G{n}": 1 for n in range(GROUPS)}, f"seed {SEED}"
        told = select(JournalEntry.data).where(
            JournalEntry.subject_id == campaign_id, JournalEntry.action == "campaign.finished"
        )
        async with database.reading() as session:
            ends = list(await session.scalars(told))
        assert [end["counts"]["sent"] for end in ends] == [GROUPS]
