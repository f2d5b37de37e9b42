"""Numbers and sessions over the REST API."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update
from tests.integration.numbers.conftest import PHONE, Desk
from tests.support.app import RunningApp
from tests.support.cast import Cast

from groupline.models import Gateway, WhatsappNumber
from groupline.orgs.rules import Scope


@pytest.fixture
async def api(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.owner) as client:
        yield client


async def test_a_phone_connects_through_the_api(api: httpx.AsyncClient, desk: Desk) -> None:
    made = await api.post("/api/v1/sessions", json={"label": "Front desk"})
    assert made.status_code == 201
    session = made.json()
    assert (session["status"], session["qr"]) == ("connecting", None)

    await desk.verify()
    shown = (await api.get(f"/api/v1/sessions/{session['id']}")).json()
    assert shown["status"] == "qr_pending"
    assert shown["qr"]["text"] == "2@scan-me"
    picture = await api.get(shown["qr"]["svgUrl"])
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert picture.text.startswith("<svg")

    desk.gateway.connects(f"wa_{session['id']}", "+91 98765 43210")
    asked = await api.post(f"/api/v1/sessions/{session['id']}/verify")
    assert asked.status_code == 200
    body = asked.json()
    assert (body["status"], body["phoneNumber"], body["qr"]) == ("connected", PHONE, None)

    [number] = (await api.get("/api/v1/numbers")).json()["items"]
    assert number["id"] == body["numberId"]
    assert (number["state"], number["displayPhone"]) == ("connected", "+91 98765 43210")
    assert number["session"]["statusSource"] == "gateway"


async def test_a_picture_of_a_code_is_shown_as_it_is(api: httpx.AsyncClient, desk: Desk) -> None:
    picture = "data:image/png;base64,iVBORw0KGgo="
    desk.gateway.after_connect = {"status": "qr", "qrcode": picture}
    session = (await api.post("/api/v1/sessions", json={})).json()
    await desk.verify()
    qr = (await api.get(f"/api/v1/sessions/{session['id']}")).json()["qr"]
    assert (qr["text"], qr["imageUrl"]) == (None, picture)
    assert picture in (await api.get(qr["svgUrl"])).text


async def test_a_refusing_gateway_is_a_502_with_its_reason_and_no_row(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    desk.gateway.connect_answer = (422, {"error": "no free slot"})
    refused = await api.post("/api/v1/sessions", json={})
    assert refused.status_code == 502
    problem = refused.json()
    assert (problem["code"], problem["upstream"]) == ("gateway_refused", "gateway")
    assert problem["upstreamStatus"] == 422
    assert "no free slot" in problem["detail"]
    assert (await api.get("/api/v1/sessions")).json()["items"] == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("401", "gateway_auth"),
        ("500", "gateway_failed"),
        ("html", "gateway_malformed"),
        ("route", "gateway_route_missing"),
        ("reset", "gateway_unreachable"),
        ("429", "gateway_refused"),
    ],
)
async def test_asking_a_failing_gateway_is_a_502_and_changes_no_session(
    api: httpx.AsyncClient, desk: Desk, failure: str, code: str
) -> None:
    row = await desk.paired()
    before = await desk.session(row.id)
    desk.gateway.failing = failure  # type: ignore[assignment]
    answer = await api.post(f"/api/v1/sessions/{row.id}/verify")
    assert (answer.status_code, answer.json()["code"]) == (502, code)
    after = await desk.session(row.id)
    assert (after.status, after.verified_at) == ("connected", before.verified_at)
    [number] = (await api.get("/api/v1/numbers")).json()["items"]
    assert number["state"] == "gateway_unreachable"
    assert number["gateway"]["unreachableSince"] is not None


async def test_a_pairing_code_that_the_gateway_does_not_offer_is_a_422_with_its_field(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    async with desk.database.writing() as session:
        await session.execute(update(Gateway).values(last_seen_at=desk.clock.now()))
    body = {"gatewayId": str(desk.gateway_id), "pairingPhone": "+91 98765 43210"}
    refused = await api.post("/api/v1/sessions", json=body)
    assert refused.status_code == 422
    problem = refused.json()
    assert problem["fields"] == {"pairingPhone": "this gateway offers no pairing codes"}
    assert "QR code" in problem["hint"]
    assert (await desk.sessions(), desk.gateway.calls) == ([], [])

    async with desk.database.writing() as session:
        await session.execute(update(Gateway).values(capabilities=["pairing_code"]))
    desk.gateway.after_connect = {"status": "qr", "qr": "2@code", "pairingCode": "K7PM-3WXQ"}
    made = (await api.post("/api/v1/sessions", json=body)).json()
    await desk.verify()
    shown = (await api.get(f"/api/v1/sessions/{made['id']}")).json()
    assert shown["pairingCode"] == "K7PM-3WXQ"


async def test_the_same_idempotency_key_connects_once(api: httpx.AsyncClient, desk: Desk) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await api.post("/api/v1/sessions", json={}, headers=headers)
    second = await api.post("/api/v1/sessions", json={}, headers=headers)
    assert first.json()["id"] == second.json()["id"]
    assert desk.gateway.count("connect") == 1


async def test_a_reconnect_answers_with_the_counts_of_what_follows(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.paired()
    row = await desk.connect()
    desk.gateway.connects(row.gateway_session_id, PHONE)
    answer = (await api.post(f"/api/v1/sessions/{row.id}/verify")).json()
    assert answer["status"] == "connected"
    assert answer["migration"] == {
        "workshops": 0,
        "webinars": 0,
        "campaigns": 0,
        "groups": 0,
        "messages": 0,
        "organizations": 0,
    }


async def test_a_viewer_sees_sessions_but_no_code(
    running: RunningApp, cast: Cast, desk: Desk
) -> None:
    row = await desk.connect()
    await desk.verify()
    async with await running.client_of(cast.owner, Scope.READ) as viewer:
        shown = (await viewer.get(f"/api/v1/sessions/{row.id}")).json()
        assert shown["status"] == "qr_pending"
        assert shown["qr"] is None
        assert (await viewer.get(f"/api/v1/sessions/{row.id}/qr.svg")).status_code == 403
        assert (await viewer.post(f"/api/v1/sessions/{row.id}/cancel")).status_code == 403


async def test_the_list_of_sessions_goes_on_where_it_stopped(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    ids = []
    for _ in range(5):
        ids.append(str((await desk.connect()).id))
        desk.clock.advance(1)
    seen, cursor = [], None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/api/v1/sessions", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


async def test_cleanup_previews_and_then_removes(api: httpx.AsyncClient, desk: Desk) -> None:
    row = await desk.connect()
    await api.post(f"/api/v1/sessions/{row.id}/cancel")
    preview = (await api.post("/api/v1/sessions/cleanup", json={"dryRun": True})).json()
    assert ([each["id"] for each in preview["sessions"]], preview["deleted"]) == ([str(row.id)], 0)
    done = (await api.post("/api/v1/sessions/cleanup", json={"dryRun": False})).json()
    assert done["deleted"] == 1
    assert await desk.sessions() == []


async def test_deleting_a_connected_session_is_refused_with_what_to_do(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    row = await desk.paired()
    refused = await api.delete(f"/api/v1/sessions/{row.id}")
    assert (refused.status_code, refused.json()["state"]) == (409, "connected")
    assert "Disconnect" in refused.json()["hint"]
    assert (await api.post(f"/api/v1/sessions/{row.id}/disconnect")).status_code == 200
    assert (await api.delete(f"/api/v1/sessions/{row.id}")).status_code == 204


async def test_a_number_outlives_the_history_of_its_sessions(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    row = await desk.paired()
    ended = (await api.post(f"/api/v1/sessions/{row.id}/disconnect")).json()
    assert (await api.delete(f"/api/v1/sessions/{row.id}")).status_code == 204
    [number] = (await api.get("/api/v1/numbers")).json()["items"]
    assert (number["state"], number["nextAction"]) == ("disconnected", "reconnect")
    assert "Somebody disconnected it here." in number["stateText"]
    assert (number["session"], number["since"]) == (None, ended["disconnectedAt"])
    refused = await api.post(f"/api/v1/numbers/{number['id']}/verify")
    assert (refused.status_code, refused.json()["state"]) == (409, "disconnected")
    again = await desk.paired()
    assert again.migration is not None
    assert "groups" in again.migration
    assert len(await desk.journal("number.taken_over")) == 1


async def test_the_last_end_is_told_not_that_of_a_session_before(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.paired()
    desk.clock.advance(60)
    newer = await desk.paired()
    ended = (await api.post(f"/api/v1/sessions/{newer.id}/disconnect")).json()
    assert (await api.delete(f"/api/v1/sessions/{newer.id}")).status_code == 204
    [number] = (await api.get("/api/v1/numbers")).json()["items"]
    assert "Somebody disconnected it here." in number["stateText"]
    assert number["since"] == ended["disconnectedAt"]


async def test_the_same_session_back_takes_nothing_over(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(3)
    number = await desk.number()
    assert (await desk.session(row.id)).status == "disconnected"
    assert number.last_ended_reason == "disconnected"
    assert number.last_disconnected_at is not None
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period(2)
    assert (await desk.session(row.id)).migration is None
    assert (await desk.number()).last_ended_reason is None
    assert await desk.journal("number.taken_over") == []


async def test_a_number_can_be_named_and_paced(api: httpx.AsyncClient, desk: Desk) -> None:
    await desk.paired()
    number = await desk.number()
    path = f"/api/v1/numbers/{number.id}"
    changed = (
        await api.patch(path, json={"displayName": " Front  desk ", "paceSeconds": 2})
    ).json()
    assert (changed["displayName"], changed["paceSeconds"]) == ("Front desk", 2)
    refused = await api.patch(path, json={"standbyNumberId": str(number.id)})
    assert "standbyNumberId" in refused.json()["fields"]
    assert (await api.patch(path, json={})).json()["displayName"] == "Front desk"
    for field in ("paceSeconds", "paused"):
        nothing = await api.patch(path, json={field: None})
        assert (nothing.status_code, list(nothing.json()["fields"])) == (422, [field])


async def test_a_burst_is_not_suspect_and_a_long_silence_is(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.paired()
    number = await desk.number()

    async def state(**facts: object) -> str:
        async with desk.database.writing() as session:
            await session.execute(update(WhatsappNumber).values({"unacknowledged": 3} | facts))
        shown: str = (await api.get(f"/api/v1/numbers/{number.id}")).json()["state"]
        return shown

    async with desk.database.writing() as session:
        await session.execute(update(Gateway).values(capabilities=["receipts"]))
    now = desk.clock.now()
    assert await state(unacknowledged=3, last_send_at=now, pace_seconds=1.0) == "connected"
    assert await state(last_send_at=now - timedelta(minutes=6)) == "suspect"
    assert await state(last_send_at=now, unacknowledged=400) == "suspect", "400 take 399 s"
    async with desk.database.writing() as session:
        await session.execute(update(Gateway).values(capabilities=[]))
    assert await state() == "connected", "a gateway without receipts proves nothing"


async def test_watching_a_pairing_makes_the_verifier_look_sooner(
    api: httpx.AsyncClient, desk: Desk
) -> None:
    row = await desk.connect()
    await desk.verify()
    desk.clock.advance(200)  # nobody watches: it is asked about only now and then
    await desk.verify()
    desk.clock.advance(3)
    before = desk.gateway.count("status")
    await desk.verify()
    assert desk.gateway.count("status") == before
    await api.get(f"/api/v1/sessions/{row.id}")
    await desk.verify()
    assert desk.gateway.count("status") == before + 1


async def test_a_handover_is_previewed_over_the_api(api: httpx.AsyncClient, desk: Desk) -> None:
    await desk.paired()
    await desk.paired("14155550136")
    source, target = [each["id"] for each in (await api.get("/api/v1/numbers")).json()["items"]]
    path = f"/api/v1/numbers/{source}/handover"
    preview = (await api.post(path, json={"to": target})).json()
    assert (preview["moved"], preview["targetConnected"]) == (False, True)
    assert preview["moves"]["workshops"] == 0
    assert (await api.post(path, json={"to": source})).status_code == 422
