"""Connecting a phone: row first, then the gateway; the code; cancelling."""

import pytest
from sqlalchemy import update
from tests.integration.numbers.conftest import OWNER, PHONE, Desk

from groupline.errors import Conflict, GatewayRefused, GatewayUnreachable, InvalidInput
from groupline.gateways.port import Proxy
from groupline.models import Gateway
from groupline.numbers import service


async def test_the_row_is_there_before_the_gateway_is_told(desk: Desk) -> None:
    row = await desk.connect(label="  Front   desk ")
    assert (row.status, row.label) == ("connecting", "Front desk")
    assert row.gateway_session_id == f"wa_{row.id}"
    assert desk.gateway.calls == [("connect", f"wa_{row.id}")]


async def test_a_gateway_that_refuses_leaves_no_session_and_its_reason(desk: Desk) -> None:
    desk.gateway.connect_answer = (422, {"error": "no free slot"})
    with pytest.raises(GatewayRefused, match="no free slot"):
        await desk.connect()
    assert await desk.sessions() == []
    [entry] = await desk.journal("session.refused")
    assert "no free slot" in entry.data["detail"]


async def test_a_gateway_that_is_silent_leaves_no_session(desk: Desk) -> None:
    desk.gateway.failing = "silence"
    with pytest.raises(GatewayUnreachable):
        await desk.connect()
    assert await desk.sessions() == []


@pytest.mark.parametrize("field", ["qr", "qrCode", "qrcode"])
async def test_the_code_is_shown_whatever_the_field_is_called(desk: Desk, field: str) -> None:
    desk.gateway.after_connect = {"status": "qr_pending", field: "2@text of a code"}
    row = await desk.connect()
    await desk.verify()
    shown = await desk.session(row.id)
    assert (shown.status, shown.qr_code) == ("qr_pending", "2@text of a code")
    assert shown.qr_expires_at is not None
    assert shown.qr_expires_at > desk.clock.now()


async def test_a_gateway_without_qr_data_is_said_to_have_sent_none(desk: Desk) -> None:
    desk.gateway.after_connect = {"status": "qr"}
    row = await desk.connect()
    await desk.verify()
    shown = await desk.session(row.id)
    assert shown.status == "qr_pending"
    assert shown.last_error == "The gateway says that it shows a QR code, but sent no QR data."
    desk.gateway.says(row.gateway_session_id, "qr", qr="2@here it is")
    desk.clock.advance(2)
    await desk.verify()
    assert (await desk.session(row.id)).last_error is None


async def test_the_scan_is_seen_and_the_code_is_gone(desk: Desk) -> None:
    row = await desk.connect()
    await desk.verify()
    desk.gateway.connects(row.gateway_session_id, "+91 98765 43210")
    desk.clock.advance(2)
    await desk.verify()
    shown = await desk.session(row.id)
    number = await desk.number()
    assert (shown.status, shown.number_id, shown.qr_code) == ("connected", number.id, None)
    assert shown.verified_at is not None
    assert number.groups_sync_due_at is not None


async def test_cancelling_ends_it_and_tells_the_gateway(desk: Desk) -> None:
    row = await desk.connect()
    await desk.verify()
    ended = await service.cancel(desk.context, desk.organization_id, row.id, actor=OWNER)
    assert (ended.status, ended.ended_reason, ended.qr_code) == ("disconnected", "cancelled", None)
    assert ended.logout_confirmed_at is not None
    assert desk.gateway.count("disconnect", row.gateway_session_id) == 1


async def test_a_cancelled_pairing_does_not_come_back_by_a_late_scan(desk: Desk) -> None:
    row = await desk.connect()
    desk.gateway.keeps_sessions = True
    await service.cancel(desk.context, desk.organization_id, row.id, actor=OWNER)
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period(3)
    assert (await desk.session(row.id)).ended_reason == "cancelled"


async def test_a_connected_one_cannot_be_cancelled(desk: Desk) -> None:
    row = await desk.paired()
    with pytest.raises(Conflict) as refused:
        await service.cancel(desk.context, desk.organization_id, row.id, actor=OWNER)
    assert refused.value.extra["state"] == "connected"


async def test_a_proxy_reaches_the_gateway_and_is_not_readable_in_the_database(desk: Desk) -> None:
    row = await desk.connect(proxy=Proxy("proxy.example", 1080, "user", "pass word"))
    assert desk.gateway.bodies[-1]["proxy"] == {
        "host": "proxy.example",
        "port": 1080,
        "username": "user",
        "password": "pass word",
    }
    assert row.proxy is not None
    assert "pass word" not in row.proxy


async def test_a_pairing_phone_that_is_none_is_refused_before_anything_is_written(
    desk: Desk,
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.connect(pairing_phone="12")
    assert "pairingPhone" in refused.value.fields
    assert desk.gateway.calls == []
    assert await desk.sessions() == []


async def test_two_phones_are_two_numbers(desk: Desk) -> None:
    await desk.paired()
    await desk.paired("14155550136")
    assert {number.phone_number for number in await desk.numbers()} == {PHONE, "14155550136"}


async def test_a_crash_before_the_gateway_was_told_is_found_by_the_verifier(desk: Desk) -> None:
    row = await desk.connect()
    desk.gateway.forgets(row.gateway_session_id)  # as if the call had never been made
    await desk.verify()
    assert (await desk.session(row.id)).status == "connecting"
    desk.clock.advance(40)
    await desk.verify()
    assert (await desk.session(row.id)).ended_reason == "unknown_to_gateway"


async def test_a_pairing_code_that_the_gateway_does_not_offer_is_refused(desk: Desk) -> None:
    await _probed(desk, ["receipts"])
    with pytest.raises(InvalidInput) as refused:
        await desk.connect(pairing_phone=PHONE)
    assert refused.value.fields == {"pairingPhone": "this gateway offers no pairing codes"}
    assert (await desk.sessions(), desk.gateway.calls) == ([], [])
    assert (await desk.connect()).status == "connecting", "by its QR code"
    await _probed(desk, ["pairing_code"])
    assert (await desk.connect(pairing_phone=PHONE)).status == "connecting"
    assert desk.gateway.bodies[-1]["pairingCode"] is True


async def test_a_gateway_not_heard_of_yet_may_offer_pairing_codes(desk: Desk) -> None:
    assert (await desk.gateway_row()).last_seen_at is None
    assert (await desk.connect(pairing_phone=PHONE)).status == "connecting"


async def _probed(desk: Desk, capabilities: list[str]) -> None:
    async with desk.database.writing() as session:
        await session.execute(
            update(Gateway).values(capabilities=capabilities, last_seen_at=desk.clock.now())
        )
