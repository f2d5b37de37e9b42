"""The worker that the campaigns of faults kill, with the loop that begins and ends campaigns."""

import asyncio
import sys

from tests.integration.messages.campaign_worker import work

from groupline.campaigns.loop import CampaignLoop
from groupline.clock import SystemClock
from groupline.db import Announcements, Database
from groupline.logs import configure_logging
from groupline.worker.loop import Loop, keep_running


async def work_on_campaigns(url: str) -> None:
    database, clock, stopping = (
        Database(url, announcements=Announcements()),
        SystemClock(),
        asyncio.Event(),
    )
    campaigns = CampaignLoop(database, clock)
    loop = Loop("campaigns", campaigns.run_once, idle_seconds=0.2, next_due=campaigns.next_due)
    settling = asyncio.create_task(keep_running(loop, clock, stopping))
    await work(url)
    stopping.set()
    await settling
    await database.dispose()


if __name__ == "__main__":
    configure_logging("json", build="campaign", level="WARNING")
    asyncio.run(work_on_campaigns(sys.argv[1]))
