"""Scenario 2: one takeover, whoever reports it at the same moment. Real processes."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.integration.numbers.conftest import PHONE, Desk
from tests.support.factories import make_session

PROCESSES = 3
_REPORTER = Path(__file__).with_name("reporter.py")


async def report(desk: Desk, database_url: str, sessions: list[UUID]) -> None:
    """Several processes report these sessions as connected, all at the same moment."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(_REPORTER),
            database_url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    now = desk.clock.now() + timedelta(minutes=1)
    order = {
        "ahead": (now - datetime.now(UTC)).total_seconds(),
        "organization": str(desk.organization_id),
        "gateway": str(desk.gateway_id),
        "phone": PHONE,
        "sessions": [str(each) for each in sessions],
    }
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(
        *(process.communicate(json.dumps(order).encode() + b"\n") for process in processes)
    )
    assert all(output.endswith(b"done\n") for output, _ in answers)
    assert [process.returncode for process in processes] == [0] * PROCESSES


async def new_session(desk: Desk, **fields: Any) -> UUID:
    async with desk.database.writing() as session:
        row = await make_session(
            session,
            organization_id=desk.organization_id,
            gateway_id=desk.gateway_id,
            status="connecting",
            **fields,
        )
    return row.id


async def test_a_phone_reported_by_poll_and_webhook_from_several_processes_is_taken_over_once(
    desk: Desk, database_url: str
) -> None:
    older = await desk.paired()
    fresh = await new_session(desk, pairing_started_at=desk.clock.now() + timedelta(seconds=1))
    await report(desk, database_url, [fresh])
    assert (await desk.session(fresh)).status == "connected"
    replaced = await desk.session(older.id)
    assert (replaced.ended_reason, replaced.replaced_by_id) == ("replaced", fresh)
    assert len(await desk.numbers()) == 1
    assert len(await desk.journal("number.taken_over")) == 1
    assert len(await desk.journal("number.connected")) == 2


async def test_a_phone_that_is_new_becomes_one_number(desk: Desk, database_url: str) -> None:
    fresh = await new_session(desk)
    await report(desk, database_url, [fresh])
    assert len(await desk.numbers()) == 1
    assert len(await desk.journal("number.connected")) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_two_pairings_reported_at_the_same_moment_the_newer_stays(
    desk: Desk, database_url: str, order: tuple[int, int]
) -> None:
    started = desk.clock.now()
    pairings = [
        await new_session(desk, pairing_started_at=started + timedelta(seconds=index))
        for index in range(2)
    ]
    await report(desk, database_url, [pairings[index] for index in order])
    older, newer = [await desk.session(each) for each in pairings]
    assert (newer.status, older.ended_reason) == ("connected", "replaced")
    assert older.replaced_by_id == newer.id
    assert older.logout_requested_at is not None
    assert len(await desk.numbers()) == 1
