"""Thousands of messages while everything fails that can fail: each arrives once, or its fate is
known. Set ``GROUPLINE_TEST_SEED`` to play another one.
"""

from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.messages.fault_campaign import (
    FAULTS,
    NUMBERS,
    PER_NUMBER,
    SEED,
    open_campaign,
    run,
)

from groupline.db import Database
from groupline.messages.rules import Policy
from groupline.models import ScheduledWhatsappMessage

pytestmark = [
    pytest.mark.takes_long,
    pytest.mark.timeout(300),
]

ACCEPTED: Final[dict[str, Any]] = {"kind": "accepted", "route": "send", "probability": 0.06}
CALLBACKS: Final[tuple[dict[str, Any], ...]] = (
    *({**ACCEPTED, "callback": each, "seconds": 0.3} for each in ("once", "early", "failed")),
    *({**ACCEPTED, "callback": each, "seconds": 3} for each in ("late", "twice", "reordered")),
    {"kind": "late", "route": "webhooks", "probability": 0.05, "seconds": 2},
    {"kind": "twice", "route": "webhooks", "probability": 0.1, "seconds": 0.5},
    {"kind": "reordered", "route": "webhooks", "probability": 0.1, "seconds": 1},
    {"kind": "never", "route": "webhooks", "probability": 0.02},
    {
        "kind": "rejected_later",
        "route": "send",
        "probability": 0.02,
        "errorCode": 403,
        "seconds": 1,
    },
)
"""Before the answer, late, twice, in another order, failed, lost; and late rejections. Numbers have
two groups, so that many callbacks are about one of several messages in flight to a group."""


@pytest.mark.parametrize(
    ("dialect", "workers"), [("sqlite", 1), ("postgresql", 3)], indirect=["dialect"]
)
async def test_every_message_arrives_exactly_once_whatever_fails(
    database: Database, database_url: str, tmp_path: Path, workers: int
) -> None:
    async with open_campaign(
        database, database_url, tmp_path / "gateway", workers=workers, knows_references=True
    ) as campaign:
        found = await run(campaign)
        assert campaign.kills > 0
        assert found == {"sent": NUMBERS * PER_NUMBER}
        await campaign.judge()


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_without_references_nothing_is_sent_twice_and_the_rest_stays_uncertain(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with open_campaign(
        database, database_url, tmp_path / "gateway", workers=2, knows_references=False
    ) as campaign:
        found = await run(campaign)
        assert set(found) == {"sent", "uncertain"}
        assert found["sent"] > found["uncertain"] > 0
        await campaign.judge()


def is_final(message: ScheduledWhatsappMessage) -> bool:
    """WhatsApp's own no, or a gateway's at as many attempts as count: what gateways report by
    themselves is judged by the product's patience, not by that of the campaign's workers."""
    if message.error_code == "rejected":
        return message.attempts >= Policy().rejections
    return message.error_code == "rejected_later"


@pytest.mark.parametrize(
    ("dialect", "seed"), [("sqlite", SEED), ("postgresql", SEED + 1)], indirect=["dialect"]
)
async def test_callbacks_in_any_order_settle_each_message_as_it_was(
    database: Database, database_url: str, tmp_path: Path, seed: int
) -> None:
    async with open_campaign(
        database,
        database_url,
        tmp_path / "gateway",
        workers=1 if database.dialect == "sqlite" else 2,
        knows_references=True,
        faults=(*FAULTS, *CALLBACKS),
        seed=seed,
    ) as campaign:
        found = await run(campaign)
        messages = await campaign.messages()
        assert set(found) <= {"sent", "failed"}, found
        assert found["sent"] > NUMBERS * PER_NUMBER * 0.8
        assert [each for each in messages if each.status == "failed" and not is_final(each)] == []
        await campaign.judge()
        reports = await campaign.reports()
        assert reports["send_callback applied"] > 20, reports


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_callbacks_without_references_are_never_guessed(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with open_campaign(
        database,
        database_url,
        tmp_path / "gateway",
        workers=2,
        knows_references=False,
        faults=(*FAULTS, *CALLBACKS),
    ) as campaign:
        found = await run(campaign)
        assert set(found) <= {"sent", "failed", "uncertain"}, found
        assert found["sent"] > found["uncertain"]
        await campaign.judge()
