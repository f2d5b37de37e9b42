"""All that a number may have before it on one evening, planned over the API."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.api import DEADLINE, Api, sendable_groups, until
from tests.support.databases import in_database
from tests.support.processes import Installation

from groupline.models import NotificationCampaign, ScheduledWhatsappMessage

Json = Any


class Evening:
    """A workshop, a webinar, a campaign under way and a message to come, all of one number.

    The campaign is slow, and the rest waits for the evening: how long a test takes until then
    makes no difference.
    """

    def __init__(self, place: Installation, api: Api, number_id: str) -> None:
        self.place = place
        self.api = api
        groups = [group["id"] for group in sendable_groups(api, number_id)]
        soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        sequence_id = self._sequence()
        self.events = [
            self._event(kind, number_id, sequence_id, groups[:5], soon)
            for kind in ("workshops", "webinars")
        ]
        self._schedule(number_id, groups[5], soon)
        self.campaign = self._campaign(number_id, groups)
        self.expected = Counter(
            {"The workshop starts": 5, "The webinar starts": 5, "On its own": 1}
        ) + Counter({"News": len(groups)})

    def _sequence(self) -> str:
        text = {"name": "Start", "content": "{event_title} starts"}
        template = self.api.post("/templates", text, expect=201)
        steps = [{"templateId": template["id"], "offsetMinutes": 0}]
        made = self.api.post("/sequences", {"name": "Start only", "steps": steps}, expect=201)
        return str(made["id"])

    def _event(
        self, kind: str, number_id: str, sequence_id: str, groups: list[str], at: str
    ) -> str:
        body = {
            "title": f"The {kind[:-1]}",
            "startsAt": at,
            "numberId": number_id,
            "sequenceId": sequence_id,
            "groupIds": groups,
        }
        path = f"/{kind}/{self.api.post(f'/{kind}', body, expect=201)['id']}"
        assert self.api.post(f"{path}/run-sequence")["scheduled"] == len(groups)
        return path

    def _schedule(self, number_id: str, group: str, at: str) -> None:
        body = {"numberId": number_id, "groupIds": [group], "content": "On its own"}
        self.api.post("/messages", body | {"scheduledFor": at}, expect=201)

    def _campaign(self, number_id: str, groups: list[str]) -> str:
        body = {"name": "News", "numberId": number_id, "groupIds": groups, "content": "News"}
        made = self.api.post("/campaigns", body | {"delaySeconds": 5, "start": True}, expect=201)
        return f"/campaigns/{made['id']}"

    def comes(self) -> None:
        """What was planned is due, and the campaign has no reason to wait any longer."""
        message, campaign = ScheduledWhatsappMessage, NotificationCampaign

        async def write(session: AsyncSession) -> None:
            waits = (message.status == "pending", message.campaign_id.is_(None))
            now = datetime.now(UTC)
            await session.execute(update(message).where(*waits).values(scheduled_for=now))
            await session.execute(update(campaign).values(delay_seconds=0, next_send_at=None))

        in_database(self.place.database_url, write)

    def sent_of_campaign(self) -> int:
        return int(self.api.get(self.campaign)["counts"].get("sent", 0))

    def ends(self) -> None:
        """Everything has left: dozens of messages one after the other, and pages that are fetched
        anew for each. That may take several times as long as any one thing may."""
        until("everything has left", self._is_over, seconds=3 * DEADLINE)

    def _is_over(self) -> bool:
        done = self.api.get(self.campaign)["status"] == "completed"
        return done and all(self.api.get(path)["counts"].get("sent") == 5 for path in self.events)
