"""Scenarios 5 to 10: what gateways say, do not say, and say late, while nobody looks."""

import asyncio
from datetime import timedelta

import pytest
from tests.integration.numbers.conftest import OWNER, PHONE, Desk
from tests.integration.numbers.test_takeover import give_work, served_by, status_event
from tests.support.factories import make_message, make_session
from tests.support.scripted_gateway import Failure

from groupline.errors import Conflict
from groupline.gateways.outcomes import FailureKind
from groupline.numbers import queries, service, views
from groupline.numbers.ask import verify_session
from groupline.numbers.history import clean_up, delete_session
from groupline.numbers.verify import Verifier

OTHER = "14155550136"

# --- 5: the gateway is away -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("500", FailureKind.SERVER_ERROR),
        ("silence", FailureKind.UNREACHABLE),
        ("reset", FailureKind.UNREACHABLE),
        ("html", FailureKind.MALFORMED),
        ("401", FailureKind.AUTH),
        ("route", FailureKind.ROUTE_MISSING),
        ("429", FailureKind.REFUSED),
    ],
)
async def test_a_failing_gateway_changes_no_session(
    desk: Desk, failure: Failure, kind: FailureKind
) -> None:
    connected, pairing = await desk.paired(), await desk.connect()
    await desk.verify()
    before = [await desk.session(row.id) for row in (connected, pairing)]
    desk.gateway.failing = failure
    since = desk.clock.now() + timedelta(seconds=60)
    await desk.period(2)

    after = [await desk.session(row.id) for row in (connected, pairing)]
    for old, new in zip(before, after, strict=True):
        assert (new.status, new.verified_at, new.doubted_at) == (
            old.status,
            old.verified_at,
            old.doubted_at,
        )
    row = await desk.gateway_row()
    assert (row.unreachable_since, row.last_error_code) == (since, kind)
    async with desk.database.reading() as session:
        [number] = await views.list_numbers(session, desk.organization_id, desk.clock.now())
    assert number.shown.state == "gateway_unreachable"
    assert number.since == since

    desk.gateway.failing = None
    await desk.period()
    assert (await desk.gateway_row()).unreachable_since is None
    assert (await desk.session(connected.id)).verified_at == desk.clock.now()


async def test_six_troubles_are_six_sentences(desk: Desk) -> None:
    row = await desk.paired()
    sentences = set()
    failures: tuple[Failure, ...] = ("reset", "401", "route")
    for failure in failures:
        desk.gateway.failing = failure
        await desk.period()
        async with desk.database.reading() as session:
            [number] = await views.list_numbers(session, desk.organization_id, desk.clock.now())
        sentences.add(number.shown.sentence)
    desk.gateway.failing = None
    desk.gateway.says(row.gateway_session_id, "hibernating")
    await desk.period()
    sentences.add(str((await desk.session(row.id)).status_detail))
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    sentences.add(str((await desk.session(row.id)).last_error))
    second = await desk.paired()
    desk.gateway.forgets(second.gateway_session_id)
    await desk.period()
    sentences.add(str((await desk.session(second.id)).last_error))
    assert len(sentences) == 6
    assert all(sentence and sentence != "None" for sentence in sentences)


async def test_a_gateway_that_is_down_is_asked_once_a_turn_and_not_once_a_session(
    desk: Desk,
) -> None:
    for index in range(5):
        await desk.paired(f"9198765432{index}0")
    desk.gateway.failing = "500"
    before = desk.gateway.count("status")
    await desk.period()
    assert desk.gateway.count("status") == before + 1


# --- 6: the gateway says it is gone ---------------------------------------------------------


async def test_disconnected_is_believed_the_second_time(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period()
    assert (await desk.session(row.id)).status == "connected"
    desk.clock.advance(3)
    await desk.verify()
    ended = await desk.session(row.id)
    assert (ended.status, ended.ended_reason) == ("disconnected", "disconnected")


async def test_one_bad_reading_between_good_ones_is_forgotten(desk: Desk) -> None:
    row = await desk.paired()
    for word in ("disconnected", "connected", "disconnected", "connected"):
        desk.gateway.says(row.gateway_session_id, word, phoneNumber=PHONE)
        desk.clock.advance(60)
        await desk.verify()
    assert (await desk.session(row.id)).status == "connected"
    assert (await desk.session(row.id)).doubted_at is None


async def test_doubts_in_quick_succession_add_up(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    desk.clock.advance(60)
    for expected in ("connected", "connected", "disconnected"):
        await verify_session(desk.context, desk.organization_id, row.id)
        assert (await desk.session(row.id)).status == expected
        desk.clock.advance(1.5)


@pytest.mark.parametrize(
    ("say", "reason"), [("404", "unknown_to_gateway"), ("logged_out", "logged_out")]
)
async def test_a_definite_end_is_believed_at_once(desk: Desk, say: str, reason: str) -> None:
    row = await desk.paired()
    number = await desk.number()
    async with desk.database.writing() as session:
        for _ in range(3):
            await make_message(
                session,
                organization_id=desk.organization_id,
                number_id=number.id,
                scheduled_for=desk.clock.now() + timedelta(hours=1),
            )
    if say == "404":
        desk.gateway.forgets(row.gateway_session_id)
    else:
        desk.gateway.says(row.gateway_session_id, say)
    await desk.period()
    ended = await desk.session(row.id)
    assert (ended.status, ended.ended_reason) == ("disconnected", reason)
    assert ended.last_error is not None
    [entry] = await desk.journal("number.disconnected")
    assert (entry.subject_id, entry.data["messagesDue"]) == (number.id, 3)

    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period()
    back = await desk.session(row.id)
    assert (back.status, back.last_error) == ("connected", None)


async def test_a_gateway_that_starts_up_again_for_a_moment_is_no_disconnection(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "connecting")
    await desk.period()
    for _ in range(3):
        desk.clock.advance(3)
        await desk.verify()
    assert (await desk.session(row.id)).status == "connected"
    desk.clock.advance(60)
    await desk.verify()
    assert (await desk.session(row.id)).status == "disconnected"


# --- webhooks, by their own time ------------------------------------------------------------


async def test_an_old_disconnected_does_not_undo_a_newer_connected(desk: Desk) -> None:
    row = await desk.paired()
    desk.clock.advance(30)
    name = row.gateway_session_id
    assert await status_event(desk, name, "logged_out", ago=29.99 + 5) == "outdated"
    assert (await desk.session(row.id)).status == "connected"
    assert (await desk.session(row.id)).next_verify_at == desk.clock.now()


async def test_the_same_webhook_twice_is_one_reading(desk: Desk) -> None:
    row = await desk.paired()
    desk.clock.advance(30)
    name = row.gateway_session_id
    for ago in (1, 1, 1.5):
        await status_event(desk, name, "disconnected", ago=ago)
    assert (await desk.session(row.id)).status == "connected"
    desk.gateway.says(name, "disconnected")
    desk.clock.advance(3)
    await desk.verify()
    assert (await desk.session(row.id)).status == "disconnected"


async def test_a_webhook_of_an_unknown_session_waits(desk: Desk) -> None:
    assert await status_event(desk, "wa_unknown", "connected") == "unmatched"


async def test_a_webhook_that_says_connected_without_a_phone_makes_the_verifier_ask(
    desk: Desk,
) -> None:
    row = await desk.connect()
    await status_event(desk, row.gateway_session_id, "connected", phone=None)
    assert (await desk.session(row.id)).status == "connecting"
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.verify()
    assert (await desk.session(row.id)).status == "connected"


async def test_a_webhook_of_a_code_does_not_claim_that_the_code_is_missing(desk: Desk) -> None:
    row = await desk.connect()
    await status_event(desk, row.gateway_session_id, "qr_pending", phone=None)
    assert (await desk.session(row.id)).last_error is None


# --- 7: nobody looks ------------------------------------------------------------------------


async def test_a_lost_webhook_is_made_up_for_within_a_period(desk: Desk) -> None:
    row = await desk.connect()
    await desk.verify()
    desk.clock.advance(200)
    await desk.verify()
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period()
    assert (await desk.session(row.id)).status == "connected"


async def test_several_workers_ask_once(desk: Desk) -> None:
    await desk.paired()
    desk.clock.advance(60)
    before = desk.gateway.count("status")
    verifiers = [Verifier(desk.context) for _ in range(3)]
    await asyncio.gather(*(verifier.run_once() for verifier in verifiers))
    await asyncio.gather(*(verifier.drain() for verifier in verifiers))
    assert desk.gateway.count("status") == before + 1


# --- 8: abandoned pairings ------------------------------------------------------------------


async def test_an_abandoned_code_ends_after_ten_minutes_and_the_gateway_is_told(
    desk: Desk,
) -> None:
    row = await desk.connect()
    await desk.verify()
    desk.clock.advance(599)
    await desk.sweep()
    assert (await desk.session(row.id)).status == "qr_pending"
    desk.clock.advance(1)
    await desk.sweep()
    await desk.sweep()
    ended = await desk.session(row.id)
    assert (ended.status, ended.ended_reason, ended.qr_code) == ("disconnected", "expired", None)
    assert ended.logout_confirmed_at is not None
    assert desk.gateway.count("disconnect", row.gateway_session_id) == 1
    assert await desk.journal("number.disconnected") == []


async def test_a_code_that_has_expired_is_not_kept(desk: Desk) -> None:
    row = await desk.connect()
    await desk.verify()
    desk.clock.advance(61)
    await desk.sweep()
    kept = await desk.session(row.id)
    assert (kept.status, kept.qr_code) == ("qr_pending", None)


async def test_nine_stale_rows_cost_one_call_each_and_show_no_error(desk: Desk) -> None:
    long_ago = desk.clock.now() - timedelta(days=3)
    async with desk.database.writing() as session:
        for status in ("connecting", "qr_pending", "disconnected") * 3:
            await make_session(
                session,
                organization_id=desk.organization_id,
                gateway_id=desk.gateway_id,
                status=status,
                number_id=None,
                next_verify_at=long_ago if status != "disconnected" else None,
                pairing_started_at=long_ago,
                status_at=long_ago,
                qr_code=None,
                qr_expires_at=None,
            )
        await queries.ask_to_verify(
            session, desk.organization_id, desk.clock.now(), older_than=timedelta(seconds=15)
        )
    for _ in range(3):
        await desk.verify()
    assert desk.gateway.count("status") == 6
    assert max(desk.gateway.count("status", sid) for _, sid in desk.gateway.calls) == 1
    assert {row.status for row in await desk.sessions()} == {"disconnected"}
    assert (await desk.gateway_row()).last_error is None


# --- 9: cleaning up -------------------------------------------------------------------------


async def test_cleaning_up_does_not_touch_a_pairing_under_way(desk: Desk) -> None:
    scanning = await desk.connect()
    await desk.verify()
    cancelled = await desk.connect()
    await service.cancel(desk.context, desk.organization_id, cancelled.id, actor=OWNER)
    done = await clean_up(
        desk.context,
        desk.organization_id,
        older_than=timedelta(0),
        dry_run=False,
        actor=OWNER,
    )
    assert [row.id for row in done.sessions] == [cancelled.id]
    assert (await desk.session(scanning.id)).status == "qr_pending"
    with pytest.raises(Conflict) as refused:
        await delete_session(desk.context, desk.organization_id, scanning.id, actor=OWNER)
    assert refused.value.extra["state"] == "pairing"
    assert desk.gateway.count("disconnect", scanning.gateway_session_id) == 0


async def test_deleting_old_sessions_loses_nothing_that_lasts(desk: Desk) -> None:
    older = await desk.paired()
    number = await desk.number()
    await give_work(desk, number.id)
    before = await served_by(desk, number.id)
    desk.clock.advance(1)
    current = await desk.paired()
    async with desk.database.writing() as session:  # a message that the old one had sent
        await make_message(
            session,
            organization_id=desk.organization_id,
            number_id=number.id,
            session_id=older.id,
            status="sent",
            sent_at=desk.clock.now(),
            gateway_message_id="3EB0",
        )
    await delete_session(desk.context, desk.organization_id, older.id, actor=OWNER)
    assert [row.id for row in await desk.sessions()] == [current.id]
    after = await served_by(desk, number.id)
    assert after == before | {"scheduled_whatsapp_messages": 5}
    await desk.period()
    assert (await desk.session(current.id)).status == "connected"


@pytest.mark.parametrize("way", ["delete", "clean_up"])
async def test_what_is_deleted_is_still_logged_out(desk: Desk, way: str) -> None:
    row = await desk.paired()
    desk.gateway.failing = "500"
    await service.disconnect(desk.context, desk.organization_id, row.id, actor=OWNER)
    if way == "delete":
        await delete_session(desk.context, desk.organization_id, row.id, actor=OWNER)
    else:
        args = {"older_than": timedelta(0), "dry_run": False, "actor": OWNER}
        await clean_up(desk.context, desk.organization_id, **args)  # type: ignore[arg-type]
    assert await desk.sessions() == []
    await desk.sweep()
    assert row.gateway_session_id in desk.gateway.statuses, "the gateway fails"
    tried = desk.gateway.count("disconnect")
    await desk.sweep()
    assert desk.gateway.count("disconnect") == tried, "it is not asked all the time"
    desk.gateway.failing = None
    desk.clock.advance(60)
    await desk.sweep()
    assert row.gateway_session_id not in desk.gateway.statuses
    desk.clock.advance(7200)
    await desk.sweep()
    assert desk.gateway.count("disconnect") == tried + 1, "confirmed once is enough"


async def test_what_was_logged_out_is_not_logged_out_again(desk: Desk) -> None:
    row = await desk.paired()
    await service.disconnect(desk.context, desk.organization_id, row.id, actor=OWNER)
    await delete_session(desk.context, desk.organization_id, row.id, actor=OWNER)
    desk.clock.advance(60)
    await desk.sweep()
    assert desk.gateway.count("disconnect") == 1


async def test_cleaning_up_keeps_young_history_of_numbers(desk: Desk) -> None:
    older = await desk.paired()
    desk.clock.advance(1)
    await desk.paired()
    month = timedelta(days=30)
    args = {"older_than": month, "dry_run": False, "actor": OWNER}
    done = await clean_up(desk.context, desk.organization_id, **args)  # type: ignore[arg-type]
    assert done.deleted == 0
    desk.clock.advance(month.total_seconds())
    done = await clean_up(desk.context, desk.organization_id, **args)  # type: ignore[arg-type]
    assert [row.id for row in done.sessions] == [older.id]


# --- 10, and reconnecting -------------------------------------------------------------------


async def test_another_phone_that_scans_a_reconnect_is_a_number_of_its_own(desk: Desk) -> None:
    row = await desk.paired()
    number = await desk.number()
    await give_work(desk, number.id)
    before = await served_by(desk, number.id)
    desk.gateway.forgets(row.gateway_session_id)
    await desk.period()
    fresh = await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)
    assert (fresh.id != row.id, fresh.expected_number_id) == (True, number.id)
    desk.gateway.connects(fresh.gateway_session_id, OTHER)
    await desk.verify()

    other = await desk.number(OTHER)
    connected = await desk.session(fresh.id)
    assert (connected.status, connected.number_id) == ("connected", other.id)
    assert connected.migration is None
    assert (await desk.session(row.id)).status == "disconnected"
    assert await served_by(desk, number.id) == before
    async with desk.database.reading() as session:
        view = await views.show_session(session, desk.organization_id, fresh.id)
    assert (view.other_phone, view.expected_phone, view.phone) == (True, PHONE, OTHER)
    [*_, entry] = await desk.journal("number.connected")
    assert entry.data["otherPhone"] is True


async def test_another_phone_on_a_revived_session_gets_a_session_of_its_own(desk: Desk) -> None:
    """The gateway shows the code under the old name, and another phone scans it there."""
    row = await desk.paired()
    number = await desk.number()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    desk.gateway.says(row.gateway_session_id, "connecting")
    revived = await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)
    assert revived.id == row.id
    desk.gateway.connects(row.gateway_session_id, OTHER)
    desk.clock.advance(2)
    await desk.verify()

    old = await desk.session(row.id)
    assert (old.status, old.ended_reason, old.number_id) == (
        "disconnected",
        "other_phone",
        number.id,
    )
    other = await desk.number(OTHER)
    [fresh] = [each for each in await desk.sessions() if each.id != row.id]
    assert (fresh.status, fresh.number_id) == ("connected", other.id)
    assert fresh.gateway_session_id == row.gateway_session_id
    await desk.period(2)
    assert (await desk.session(fresh.id)).status == "connected"
    assert desk.gateway.count("disconnect") == 0


async def test_reconnect_revives_the_last_pairing_where_the_gateway_still_has_it(
    desk: Desk,
) -> None:
    row = await desk.paired()
    number = await desk.number()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    desk.gateway.connects(row.gateway_session_id, PHONE)
    desk.clock.advance(1)
    back = await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)
    assert (back.id, back.status) == (row.id, "connected")
    assert len(await desk.sessions()) == 1


async def test_reconnect_pairs_anew_where_the_gateway_wants_a_new_scan(desk: Desk) -> None:
    row = await desk.paired()
    number = await desk.number()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    desk.gateway.says(row.gateway_session_id, "qr", qr="2@a code under the old name")
    desk.clock.advance(1)
    fresh = await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)
    assert (fresh.id != row.id, fresh.expected_number_id) == (True, number.id)
    assert desk.gateway.count("connect", fresh.gateway_session_id) == 1
    again = await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)
    assert again.id == fresh.id
    desk.gateway.connects(fresh.gateway_session_id, PHONE)
    await desk.verify()
    connected = await desk.session(fresh.id)
    assert (connected.status, connected.number_id) == ("connected", number.id)


async def test_a_revived_pairing_that_does_not_come_back_is_not_logged_out(desk: Desk) -> None:
    """It may still come back by itself, so nobody has to scan again."""
    row = await desk.paired()
    number = await desk.number()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    desk.gateway.says(row.gateway_session_id, "connecting")
    await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)
    desk.clock.advance(600)
    await desk.sweep()
    ended = await desk.session(row.id)
    assert (ended.status, ended.ended_reason) == ("disconnected", "disconnected")
    assert ended.logout_requested_at is None
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period()
    assert (await desk.session(row.id)).status == "connected"


async def test_a_gateway_that_refuses_to_revive_leaves_the_session_as_it_was(desk: Desk) -> None:
    row = await desk.paired()
    number = await desk.number()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    before = await desk.session(row.id)
    desk.gateway.failing = "500"
    with pytest.raises(Exception, match="database is locked"):
        await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)
    after = await desk.session(row.id)
    assert (after.status, after.ended_reason, after.disconnected_at) == (
        before.status,
        before.ended_reason,
        before.disconnected_at,
    )
    desk.gateway.failing = None
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period()
    assert (await desk.session(row.id)).status == "connected"


async def test_a_connected_number_is_not_reconnected(desk: Desk) -> None:
    await desk.paired()
    number = await desk.number()
    with pytest.raises(Conflict):
        await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)


async def test_disconnecting_counts_also_while_the_gateway_is_away(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.failing = "500"
    ended = await service.disconnect(desk.context, desk.organization_id, row.id, actor=OWNER)
    assert (ended.status, ended.ended_reason, ended.status_source) == (
        "disconnected",
        "user",
        "user",
    )
    assert ended.logout_confirmed_at is None
    desk.gateway.failing = None
    await desk.period()  # a poll that still says connected changes nothing
    desk.clock.advance(10)
    await desk.sweep()
    done = await desk.session(row.id)
    assert (done.status, done.logout_confirmed_at) == ("disconnected", desk.clock.now())
