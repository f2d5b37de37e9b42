"""The sync against the gateway that Groupline ships, with phones that only exist there."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.support.cast import Cast
from tests.support.factories import make_gateway, make_number, make_session
from tests.support.gateway import API_KEY, STUDIO, RunningGateway, running_gateway

from groupline.errors import UpstreamError
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.groups.queries import list_groups
from groupline.groups.schemas import GroupFilter
from groupline.groups.service import GroupQuestions
from groupline.groups.sync import GroupSync, SyncResult
from groupline.journal import SYSTEM
from groupline.runtime import Runtime


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path / "gateway") as gateway:
        yield gateway


async def paired(
    runtime: Runtime, simulator: RunningGateway, cast: Cast, groups: int, number: str = STUDIO
) -> UUID:
    """A simulated phone with so many groups, connected; the id of its number."""
    async with runtime.database.writing() as session:
        gateway = await make_gateway(
            session,
            base_url=simulator.url,
            credentials=write_credentials(runtime.vault, API_KEY, AuthScheme.API_KEY),
        )
        row = await make_number(session, organization_id=cast.organization_id, phone_number=number)
        pairing = await make_session(
            session,
            organization_id=cast.organization_id,
            number_id=row.id,
            gateway_id=gateway.id,
        )
    await simulator.connect(pairing.gateway_session_id, number, groups)
    return row.id


async def synced(sync: GroupSync, cast: Cast, number_id: UUID) -> SyncResult:
    return await sync.run(cast.organization_id, number_id, actor=SYSTEM)


async def test_27_simulated_groups_are_saved_and_shown(
    runtime: Runtime, simulator: RunningGateway, cast: Cast, sync: GroupSync
) -> None:
    number_id = await paired(runtime, simulator, cast, 27)

    result = await synced(sync, cast, number_id)

    assert (result.vps_count, result.saved_count, result.suspicious) == (27, 27, None)
    told = {
        entry["id"] for entry in (await simulator.get(f"/sim/phones/{STUDIO}/groups"))["groups"]
    }
    async with runtime.database.reading() as session:
        page = await list_groups(session, cast.organization_id, GroupFilter(number_id=number_id))
    assert {group.jid for group in page.groups} == told


async def test_5000_groups_come_in_one_call(
    runtime: Runtime, simulator: RunningGateway, cast: Cast, sync: GroupSync
) -> None:
    number_id = await paired(runtime, simulator, cast, 5000)

    assert (await synced(sync, cast, number_id)).saved_count == 5000


@pytest.mark.parametrize("fault", ["groups_empty", "groups_cut"])
async def test_a_list_that_lost_groups_on_the_way_removes_nothing(
    runtime: Runtime, simulator: RunningGateway, cast: Cast, sync: GroupSync, fault: str
) -> None:
    number_id = await paired(runtime, simulator, cast, 60)
    await synced(sync, cast, number_id)
    await simulator.fault(fault, times=1)

    doubted = await synced(sync, cast, number_id)
    healed = await synced(sync, cast, number_id)

    assert (doubted.saved_count, doubted.deactivated) == (60, 0)
    assert doubted.suspicious is not None
    assert (healed.saved_count, healed.suspicious) == (60, None)


async def test_a_gateway_in_trouble_is_an_error_of_the_gateway(
    runtime: Runtime, simulator: RunningGateway, cast: Cast, sync: GroupSync
) -> None:
    number_id = await paired(runtime, simulator, cast, 5)
    await simulator.fault("error", route="groups", httpStatus=500, times=1)

    with pytest.raises(UpstreamError) as failure:
        await synced(sync, cast, number_id)

    assert failure.value.extra["upstream"] == "gateway"
    assert (await synced(sync, cast, number_id)).saved_count == 5


async def test_participants_and_invite_links_are_asked_for(
    runtime: Runtime, simulator: RunningGateway, cast: Cast, sync: GroupSync
) -> None:
    number_id = await paired(runtime, simulator, cast, 12)
    await synced(sync, cast, number_id)
    questions = GroupQuestions(runtime.database, runtime.gateways, runtime.clock)
    async with runtime.database.reading() as session:
        page = await list_groups(session, cast.organization_id, GroupFilter(number_id=number_id))
    group = next(group for group in page.groups if group.is_admin and not group.is_community)

    listing = await questions.fetch_participants(cast.organization_id, group.id)
    linked = await questions.fetch_invite_link(cast.organization_id, group.id, actor=SYSTEM)

    assert listing.total == group.participant_count
    assert linked.invite_link is not None
    assert linked.invite_link.startswith("https://chat.whatsapp.com/")
