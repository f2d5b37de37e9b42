"""The ten scenarios of numbers and sessions, from end to end: real processes, both databases, and a
gateway of the contract that is nobody's product.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from tests.e2e.town import Town, new_phone, open_town
from tests.support.api import send, until
from tests.support.factories import make_campaign, make_event
from tests.support.scripted_gateway import Failure

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def town(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with open_town(tmp_path_factory.mktemp(request.param), server) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _a_gateway_that_works(town: Town) -> Iterator[None]:
    yield
    town.gateway.failing = None
    town.gateway.keeps_sessions = False
    town.gateway.after_connect = {"status": "qr", "qr": "2@scan-me"}


def give_work(town: Town, number_id: str) -> None:
    organization_id = town.organization_id()
    facts: dict[str, Any] = {"organization_id": organization_id, "number_id": UUID(number_id)}

    async def write(session: AsyncSession) -> None:
        starts = datetime.now(UTC) + timedelta(days=3)
        ends = starts + timedelta(hours=1)
        await make_event(session, starts_at=starts, ends_at=ends, **facts)
        await make_campaign(session, **facts)

    town.stored(write)


def until_synced(town: Town, number_id: str) -> list[str]:
    """The ids of the groups that the number may write to."""
    until("the groups are synced", lambda: town.number(number_id)["groupsSyncedAt"])
    listed = town.api.get(f"/groups?numberId={number_id}&sendable=true")["items"]
    return [group["id"] for group in listed]


def gone(town: Town, session_id: str, how: str = "404") -> None:
    """The gateway says that it is over, and Groupline has seen it."""
    if how == "404":
        town.gateway.forgets(f"wa_{session_id}")
    else:
        town.gateway.says(f"wa_{session_id}", how)
    town.until_status(session_id, "disconnected")


# --- 1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["connected", "connecting", "qr_pending", "disconnected"])
@pytest.mark.parametrize("holders", [1, 2])
def test_1_a_number_held_by_older_sessions_is_taken_over(
    town: Town, state: str, holders: int
) -> None:
    phone = new_phone()
    older = [town.paired(phone)["id"] for _ in range(holders)]
    number_id = town.session(older[-1])["numberId"]
    give_work(town, number_id)
    if state == "disconnected":
        gone(town, older[-1], "logged_out")
    elif state != "connected":
        later = datetime.now(UTC) + timedelta(hours=1)
        # Newer than any answer that is under way: one would connect it again, as a takeover more.
        town.change(older[-1], status=state, status_at=later, next_verify_at=later)

    fresh = town.paired(phone)

    assert (fresh["numberId"], fresh["phoneNumber"], fresh["lastError"]) == (number_id, phone, None)
    assert fresh["migration"]["workshops"] == fresh["migration"]["campaigns"] == 1
    assert town.number(number_id)["state"] in ("connected", "verifying")
    history = [town.session(each) for each in older]
    assert {(row["status"], row["phoneNumber"]) for row in history} == {("disconnected", phone)}
    taken_over = town.journal("number.taken_over", number_id)
    assert len(taken_over) == holders
    assert taken_over[-1] == {**fresh["migration"], "sessionId": fresh["id"]}
    groups = until_synced(town, number_id)
    (message,) = send(town.api, number_id, groups[:1], "after the takeover")
    until("it is sent", lambda: _status(town, message["id"]) == "sent")
    assert town.gateway.sent[-1]["sessionId"] == f"wa_{fresh['id']}"


def _status(town: Town, message_id: str) -> str:
    status: str = town.api.get(f"/messages/{message_id}")["status"]
    return status


# --- 2 --------------------------------------------------------------------------------------


def test_2_reported_by_poll_and_webhook_at_once_by_all_processes_it_is_taken_over_once(
    town: Town,
) -> None:
    phone = new_phone()
    number_id = town.paired(phone)["numberId"]
    row = town.connect()
    town.until_code(row["id"])
    town.gateway.connects(f"wa_{row['id']}", phone)

    def poll(web: int) -> None:
        town.apis[web % len(town.apis)].post(f"/sessions/{row['id']}/verify")

    def webhook(web: int) -> None:
        town.report(row["id"], "connected", web=web, phoneNumber=f"+{phone}")

    with ThreadPoolExecutor(8) as crowd:
        reports = [crowd.submit(how, web) for web in range(4) for how in (poll, webhook)]
        for each in reports:
            each.result()
    assert town.session(row["id"])["status"] == "connected"
    assert len(town.journal("number.taken_over", number_id)) == 1
    assert len(town.journal("number.connected", number_id)) == 2


# --- 3 --------------------------------------------------------------------------------------


def test_3_every_spelling_of_a_phone_is_one_number(town: Town) -> None:
    digits = new_phone()
    plain = f"+{digits[:2]} {digits[2:7]} {digits[7:]}"
    rows = [town.paired(each) for each in (plain, digits, f"{digits}:12@s.whatsapp.net")]
    assert {(row["numberId"], row["phoneNumber"]) for row in rows} == {
        (rows[0]["numberId"], digits)
    }


@pytest.mark.parametrize("how", ["poll", "webhook"])
def test_3_an_invalid_phone_is_refused_with_a_reason(town: Town, how: str) -> None:
    row = town.connect()
    town.gateway.connects(f"wa_{row['id']}", "12")
    if how == "webhook":
        town.report(row["id"], "connected", phoneNumber="12")
    else:
        town.api.post(f"/sessions/{row['id']}/verify")
    reason = until("the reason is shown", lambda: town.session(row["id"])["lastError"])
    assert "not a valid phone number" in reason
    assert town.session(row["id"])["status"] == "connecting"
    town.api.post(f"/sessions/{row['id']}/cancel")


# --- 4 --------------------------------------------------------------------------------------


def test_4_linked_twice_the_newer_wins_for_good(town: Town) -> None:
    town.gateway.keeps_sessions = True  # both are really connected, also after a logout
    phone, before = new_phone(), datetime.now(UTC)
    older, newer = town.paired(phone), town.paired(phone)
    number_id = newer["numberId"]
    name = f"wa_{older['id']}"
    until("the older is logged out", lambda: town.gateway.count("disconnect", name))
    for at in (before, datetime.now(UTC), before):
        town.report(older["id"], "connected", phoneNumber=phone, timestamp=at.isoformat())
        town.api.post(f"/sessions/{older['id']}/verify")
    shown = town.session(older["id"])
    assert (shown["endedReason"], shown["replacedById"]) == ("replaced", newer["id"])
    assert town.session(newer["id"])["status"] == "connected"
    assert town.gateway.count("disconnect", f"wa_{newer['id']}") == 0
    assert len(town.journal("number.connected", number_id)) == 2


# --- 5 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["500", "silence", "reset", "html", "401"])
def test_5_a_gateway_that_fails_changes_no_session(town: Town, failure: Failure) -> None:
    row = town.paired(new_phone())
    town.gateway.failing = failure
    shown = town.until_state(row["numberId"], "gateway_unreachable")
    assert shown["gateway"]["unreachableSince"] is not None
    assert shown["since"] == shown["gateway"]["unreachableSince"]
    after = town.session(row["id"])
    assert (after["status"], after["connectedAt"]) == ("connected", row["connectedAt"])
    town.gateway.failing = None
    back = town.until_state(row["numberId"], "connected")
    assert back["gateway"]["unreachableSince"] is None
    assert town.journal("number.disconnected", row["numberId"]) == []


# --- 6 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "reason"),
    [("404", "unknown_to_gateway"), ("disconnected", "disconnected"), ("logged_out", "logged_out")],
)
def test_6_what_the_gateway_ends_waits_and_flows_again_without_a_click(
    town: Town, word: str, reason: str
) -> None:
    phone = new_phone()
    row = town.paired(phone)
    number_id = row["numberId"]
    groups = until_synced(town, number_id)
    gone(town, row["id"], word)
    ended = town.session(row["id"])
    assert ended["endedReason"] == reason
    assert ended["lastError"]
    (message,) = send(town.api, number_id, groups[:1], "it waits")
    assert town.number(number_id)["messagesDue"] == 1
    assert _status(town, message["id"]) == "pending"
    [told] = town.journal("number.disconnected", number_id)
    assert (told["reason"], told["withinHours"]) == (reason, 2)

    town.gateway.connects(f"wa_{row['id']}", phone)
    until("it flows", lambda: _status(town, message["id"]) == "sent")
    assert town.session(row["id"])["status"] == "connected"
    assert [each["message"] for each in town.gateway.sent].count("it waits") >= 1


# --- 7 --------------------------------------------------------------------------------------


def test_7_nobody_looks_and_the_webhook_is_lost(town: Town) -> None:
    phone, row = new_phone(), town.connect()
    town.gateway.connects(f"wa_{row['id']}", phone)

    def is_listed() -> bool:
        numbers = town.api.get("/numbers")["items"]
        return any(each["phoneNumber"] == phone for each in numbers)

    until("it is connected by itself", is_listed)


# --- 8 --------------------------------------------------------------------------------------


def test_8_an_abandoned_code_ends_quietly_and_the_gateway_is_told(town: Town) -> None:
    row = town.connect()
    town.until_code(row["id"])
    town.change(row["id"], pairing_started_at=datetime.now(UTC) - timedelta(minutes=10))
    ended = town.until_status(row["id"], "disconnected")
    assert (ended["endedReason"], ended["lastError"], ended["qr"]) == ("expired", None, None)
    until("it is told", lambda: town.gateway.count("disconnect", f"wa_{row['id']}"))


def test_8_nine_stale_rows_cost_at_most_one_call_each(town: Town) -> None:
    rows = [town.connect()["id"] for _ in range(9)]
    for each in rows:  # one that never had a code says so when it ends
        town.until_code(each)
    long_ago = datetime.now(UTC) - timedelta(days=3)
    for each in rows:
        town.gateway.forgets(f"wa_{each}")
        town.change(each, pairing_started_at=long_ago, status_at=long_ago, next_verify_at=None)
    calls = len(town.gateway.calls)
    for each in rows:
        assert town.until_status(each, "disconnected")["lastError"] in (None, _UNKNOWN)
    asked = [sid for call, sid in town.gateway.calls[calls:] if call == "status"]
    assert max((asked.count(f"wa_{each}") for each in rows), default=0) <= 1


_UNKNOWN = "The gateway does not know this session."


# --- 9 --------------------------------------------------------------------------------------


def test_9_cleaning_up_loses_nothing_and_leaves_the_one_being_scanned_alone(town: Town) -> None:
    phone = new_phone()
    older, current = town.paired(phone), town.paired(phone)
    number_id = current["numberId"]
    give_work(town, number_id)
    groups = until_synced(town, number_id)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"groupIds": groups, "numberId": number_id, "content": "x", "scheduledFor": tomorrow}
    town.api.post("/messages", body, expect=201)
    before = town.number(number_id)["follows"]
    scanning = town.connect()
    town.until_code(scanning["id"])

    done = town.api.post("/sessions/cleanup", {"olderThanDays": 0, "dryRun": False})

    removed = {each["id"] for each in done["sessions"]}
    assert older["id"] in removed
    assert removed.isdisjoint({scanning["id"], current["id"]})
    assert done["deleted"] == len(removed)
    town.api.get(f"/sessions/{older['id']}", expect=404)
    assert town.number(number_id)["follows"] == before
    assert before["messages"] == len(groups)
    assert town.session(scanning["id"])["status"] == "qr_pending"
    assert town.gateway.count("disconnect", f"wa_{scanning['id']}") == 0
    town.api.post(f"/sessions/{scanning['id']}/cancel")


# --- 10 -------------------------------------------------------------------------------------


def test_10_another_phone_that_scans_a_reconnect_is_a_number_of_its_own(town: Town) -> None:
    phone, other = new_phone(), new_phone()
    row = town.paired(phone)
    number_id = row["numberId"]
    give_work(town, number_id)
    gone(town, row["id"])
    fresh = town.api.post(f"/numbers/{number_id}/reconnect")
    assert fresh["expectedNumberId"] == number_id
    town.gateway.connects(f"wa_{fresh['id']}", other)
    shown = town.until_status(fresh["id"], "connected")
    assert (shown["otherPhone"], shown["phoneNumber"]) == (True, other)
    assert shown["numberId"] != number_id
    still = town.number(number_id)
    assert (still["state"], still["follows"]["workshops"]) == ("disconnected", 1)
    assert town.number(shown["numberId"])["follows"]["workshops"] == 0


# --- the code -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qr", "qrCode", "qrcode"])
@pytest.mark.parametrize("code", ["2@a text", "data:image/png;base64,iVBORw0KGgo="])
def test_the_code_is_shown_whatever_its_field_and_its_form(
    town: Town, name: str, code: str
) -> None:
    town.gateway.after_connect = {"status": "qr_pending", name: code}
    row = town.connect()
    shown = until("its code is shown", lambda: town.session(row["id"])["qr"])
    assert code in (shown["text"], shown["imageUrl"])
    assert town.api.http.get(f"/sessions/{row['id']}/qr.svg").is_success
    town.api.post(f"/sessions/{row['id']}/cancel")


@pytest.mark.parametrize("said", [{}, {"qr": ""}, {"qr": None}, {"qrCode": "data:text/html,x"}])
def test_a_gateway_that_sends_no_qr_data_is_said_to_have_sent_none(
    town: Town, said: dict[str, Any]
) -> None:
    town.gateway.after_connect = {"status": "qr", **said}
    row = town.connect()
    reason = until("it is said", lambda: town.session(row["id"])["lastError"])
    assert reason == "The gateway says that it shows a QR code, but sent no QR data."
    town.api.post(f"/sessions/{row['id']}/cancel")
