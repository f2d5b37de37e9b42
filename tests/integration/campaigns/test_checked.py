"""A start that names what was looked at starts nothing else, whoever was quicker."""

from uuid import UUID

import httpx
import pytest
from tests.integration.campaigns.test_api import LATER, act, create
from tests.integration.messages.desk import Desk
from tests.integration.messages.outbox import PERSON
from tests.support.clock import NOW

from groupline.campaigns import progress, queries, service
from groupline.db import Database
from groupline.errors import InvalidInput
from groupline.models import NotificationCampaign


async def looked_at(database: Database, organization_id: UUID, campaign_id: UUID) -> str:
    async with database.reading() as session:
        view = await queries.get_view(session, organization_id, campaign_id)
        return (await progress.estimate(session, view, now=NOW)).fingerprint


async def test_a_file_that_goes_out_as_something_else_is_another_draft(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk)
    own = (desk.organization_id, UUID(campaign["id"]))
    seen = []
    for kind in ("image", "document"):
        async with database.writing() as session:
            row = await session.get_one(NotificationCampaign, own[1])
            row.media_url, row.media_type = "https://example.org/file", kind
        seen.append(await looked_at(database, *own))
    assert seen[0] != seen[1]


async def test_what_was_scheduled_between_the_look_and_the_start_is_not_sent_at_once(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    """Two people schedule the same draft, or one clicks twice: it keeps its time."""
    campaign = await create(client, desk, scheduledFor=LATER)
    own = (desk.organization_id, UUID(campaign["id"]))
    seen = await looked_at(database, *own)
    assert (await act(client, campaign, "start"))["status"] == "scheduled"

    with pytest.raises(InvalidInput, match="not what this page showed"):
        async with database.writing() as session:
            await service.start(session, *own, checked=seen, actor=PERSON, now=NOW)

    async with database.reading() as session:
        view = await queries.get_view(session, *own)
    assert (view.status, view.started_at) == ("scheduled", None)
    assert (await act(client, campaign, "start"))["status"] == "sending", "asked for by itself"
