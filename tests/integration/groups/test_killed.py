"""A process is killed in the middle of a sync: nobody waits for it for long. A real process."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.contract.scripted import Peer, answer
from tests.integration.groups.conftest import Phone, many
from tests.integration.groups.test_schedule import ask_for_sync, turn
from tests.support.clock import ManualClock
from tests.support.keys import SECRET_KEY

from groupline.errors import Conflict
from groupline.groups.schedule import GroupSyncLoop
from groupline.groups.turns import LEASE_SECONDS
from groupline.models import Lease

_SYNCER = Path(__file__).with_name("syncer.py")
_AT_MOST_SECONDS = 20


@pytest.fixture
async def killed_midway(phone: Phone, clock: ManualClock, database_url: str) -> None:
    """A process had asked the gateway for the groups, and was killed before the answer."""
    asked = asyncio.Event()

    async def silent(peer: Peer) -> bool:
        asked.set()
        await peer.reader.read()
        return False

    phone.gateway.says(silent, answer(200, {"groups": many(27)}))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_SYNCER),
        database_url,
        SECRET_KEY,
        str(phone.organization_id),
        str(phone.number_id),
    )
    await asked.wait()
    process.kill()
    await process.wait()
    async with phone.runtime.database.reading() as session:
        expires_at = (await session.scalars(select(Lease.expires_at))).one()
    # It died as soon as it had its turn, however long this machine took to carry that out.
    died_at = expires_at - timedelta(seconds=LEASE_SECONDS)
    clock.advance((died_at - clock.now()).total_seconds())


@pytest.mark.usefixtures("killed_midway")
async def test_after_a_kill_a_person_can_sync_again_within_seconds(
    phone: Phone, clock: ManualClock
) -> None:
    with pytest.raises(Conflict, match="A sync is running"):
        await phone.synced()

    clock.advance(_AT_MOST_SECONDS)

    assert (await phone.synced()).saved_count == 27


@pytest.mark.usefixtures("killed_midway")
async def test_after_a_kill_the_worker_syncs_by_itself_as_soon_as_it_can(
    phone: Phone, clock: ManualClock
) -> None:
    await ask_for_sync(phone, clock.now())
    loop = GroupSyncLoop(phone.runtime.database, phone.sync, clock)
    await turn(loop)
    assert await phone.saved() == {}

    wait = await loop.next_due()

    assert wait is not None
    assert 0 < wait <= _AT_MOST_SECONDS
    clock.advance(wait)
    await turn(loop)
    assert len(await phone.saved()) == 27
