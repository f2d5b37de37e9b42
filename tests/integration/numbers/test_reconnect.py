"""Reconnecting: asked for twice at once, and when something breaks before the gateway is asked."""

import asyncio

import pytest
from sqlalchemy import update
from tests.integration.numbers.conftest import OWNER, PHONE, Desk

from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.port import Proxy
from groupline.gateways.service import write_credentials
from groupline.models import Gateway, WhatsappSession
from groupline.numbers import service
from groupline.numbers.start import write_proxy
from groupline.vault import Vault, VaultKeyMismatch

_TIMES = 6


async def _reconnect(desk: Desk) -> WhatsappSession:
    number = await desk.number()
    return await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)


async def test_asked_for_several_times_at_once_one_pairing_begins(desk: Desk) -> None:
    """Several connections to the database really overlap here: the pool has ten of them."""
    row = await desk.paired()
    desk.gateway.forgets(row.gateway_session_id)
    await desk.period()
    for _ in range(4):
        rows = await asyncio.gather(*(_reconnect(desk) for _ in range(_TIMES)))
        assert len({each.id for each in rows}) == 1
        pairings = [each for each in await desk.sessions() if each.status != "disconnected"]
        assert [each.id for each in pairings] == [rows[0].id]
        assert desk.gateway.count("connect", rows[0].gateway_session_id) == 1
        await service.cancel(desk.context, desk.organization_id, rows[0].id, actor=OWNER)


async def test_asked_for_several_times_at_once_one_pairing_is_revived(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    desk.gateway.says(row.gateway_session_id, "connecting")
    rows = await asyncio.gather(*(_reconnect(desk) for _ in range(_TIMES)))
    assert {each.id for each in rows} == {row.id}
    assert desk.gateway.count("connect", row.gateway_session_id) == 2, "to pair it, to revive it"


async def test_the_way_there_fails_before_the_gateway_is_asked(desk: Desk) -> None:
    """Its key was stored under another SECRET_KEY: the session is as it was, and says why."""
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    before = await desk.session(row.id)
    await _store_key(desk, Vault("another secret key, of another installation"))
    calls = len(desk.gateway.calls)
    with pytest.raises(VaultKeyMismatch):
        await _reconnect(desk)
    after = await desk.session(row.id)
    assert (after.status, after.ended_reason) == ("disconnected", "disconnected")
    assert (after.disconnected_at, after.pairing_started_at) == (
        before.disconnected_at,
        before.pairing_started_at,
    )
    assert "SECRET_KEY" in str(after.last_error)
    assert len(desk.gateway.calls) == calls
    await _store_key(desk, desk.context.vault)
    desk.gateway.connects(row.gateway_session_id, PHONE)
    assert (await _reconnect(desk)).status == "connected"


async def test_a_proxy_that_cannot_be_read_leaves_the_session_as_it_was(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    proxy = write_proxy(desk.context, Proxy("proxy.example", 1080))
    async with desk.database.writing() as session:
        broken = "x" + str(proxy)[1:]
        await session.execute(update(WhatsappSession).values(proxy=broken))
    with pytest.raises(VaultKeyMismatch):
        await _reconnect(desk)
    assert (await desk.session(row.id)).status == "disconnected"


async def _store_key(desk: Desk, vault: Vault) -> None:
    credentials = write_credentials(vault, "key-of-the-scripted-gateway", AuthScheme.API_KEY)
    async with desk.database.writing() as session:
        await session.execute(update(Gateway).values(credentials=credentials))
