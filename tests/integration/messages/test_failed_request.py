"""A request that fails as if the gateway did: the gateway is asked before it is blamed."""

import asyncio
from typing import Any

import pytest
from tests.integration.messages.holding import HELD
from tests.integration.messages.outbox import Outbox
from tests.support.app import open_test_runtime

from groupline.gateways.drivers.base import HttpPool, Limit, Limits
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways
from groupline.gateways.watch import GatewayWatch
from groupline.messages.dispatch import Dispatcher
from groupline.models import Gateway
from groupline.worker.loops import loops_of

FAULTS: list[dict[str, Any]] = [
    {"kind": "unauthorized"},
    {"kind": "html", "http_status": 404},
]


@pytest.fixture
def watch(outbox: Outbox) -> GatewayWatch:
    return GatewayWatch(outbox.database, outbox.gateways, outbox.clock)


async def gateway_of(outbox: Outbox) -> Gateway:
    async with outbox.database.reading() as session:
        return await session.get_one(Gateway, outbox.gateway_id)


@pytest.mark.parametrize("fault", FAULTS, ids=["401", "404"])
async def test_a_gateway_that_answers_all_others_is_never_called_unreachable(
    outbox: Outbox, watch: GatewayWatch, fault: dict[str, Any]
) -> None:
    await watch.run_once()
    sender = await outbox.add_sender(groups=1)
    message_id = await outbox.write(sender)
    await outbox.gateway.fault(**fault, route="send")

    await outbox.work(outbox.new_worker(doubt=watch.doubt))

    message = await outbox.message(message_id)
    assert (message.status, (await gateway_of(outbox)).unreachable_since) == ("pending", None)
    assert watch.wake.is_set()
    outbox.clock.advance(1)
    await watch.run_once()
    gateway = await gateway_of(outbox)
    assert (gateway.unreachable_since, gateway.last_seen_at) == (None, outbox.clock.now())


async def test_one_that_is_away_is_found_so_long_before_its_minute_is_over(
    outbox: Outbox, watch: GatewayWatch
) -> None:
    await watch.run_once()
    sender = await outbox.add_sender(groups=1)
    await outbox.write(sender)
    await outbox.change(Gateway, outbox.gateway_id, base_url="http://127.0.0.1:9")

    await outbox.work(outbox.new_worker(doubt=watch.doubt))
    await watch.run_once()

    gateway = await gateway_of(outbox)
    assert gateway.last_error_code == "unreachable"
    assert gateway.unreachable_since == outbox.clock.now()


@pytest.mark.parametrize("kind", ["reset_after", "delay"])
async def test_a_request_without_an_answer_is_a_doubt_as_well(
    outbox: Outbox, watch: GatewayWatch, kind: str
) -> None:
    """A gateway that hangs makes one message after the other uncertain until that is noticed."""
    sender = await outbox.add_sender(groups=1)
    message_id = await outbox.write(sender)
    await outbox.gateway.fault(kind, route="send", times=1, seconds=HELD)
    async with HttpPool() as pool:
        registry = DriverRegistry(pool, Limits(send=Limit(2)))
        gateways = Gateways(registry, outbox.vault)
        worker = Dispatcher(outbox.database, gateways, outbox.clock, doubt=watch.doubt)
        await outbox.work(worker)

    assert (await outbox.message(message_id)).status == "uncertain"
    assert watch.wake.is_set()


async def test_a_worker_has_its_own_watch_look(outbox: Outbox) -> None:
    sender = await outbox.add_sender(groups=1)
    await outbox.write(sender)
    await outbox.gateway.fault("unauthorized", route="send")
    async with (
        open_test_runtime(outbox.database, outbox.clock) as runtime,
        loops_of(runtime) as running,
    ):
        loops = {loop.name: loop for loop in running}
        async with asyncio.timeout(60):
            while not loops["gateways"].wake.is_set():
                await loops["dispatch"].run_once()
                await asyncio.sleep(0)


async def test_what_only_this_message_met_is_no_doubt_about_its_gateway(
    outbox: Outbox, watch: GatewayWatch
) -> None:
    sender = await outbox.add_sender(groups=1)
    await outbox.write(sender)
    await outbox.gateway.fault("rate_limited", route="send")
    await outbox.work(outbox.new_worker(doubt=watch.doubt))
    assert not watch.wake.is_set()
