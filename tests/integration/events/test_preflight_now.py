"""What the overview says of looks that were some time ago."""

from datetime import timedelta

from tests.integration.events.studio import Studio
from tests.support.clock import NOW
from tests.support.factories import make_event, make_preflight

from groupline.db import Database
from groupline.events.preflight import Finding
from groupline.events.preflight_now import troubled_now

PAUSED = Finding("number_paused", "problem", "The number is paused.", "/settings/connection")
LACKS = Finding("variable", "problem", "The texts name what has no value.", "/workshops")


async def test_what_has_settled_itself_pushes_nothing_off_the_overview(
    database: Database, studio: Studio
) -> None:
    """The number has been resumed since all of them were looked at."""
    own = {"organization_id": studio.organization_id}
    async with database.writing() as session:
        for hours in range(1, 13):
            starts = NOW + timedelta(hours=hours)
            event = await make_event(
                session,
                **own,
                title=f"In {hours}",
                number_id=studio.number_id,
                starts_at=starts,
                ends_at=starts + timedelta(hours=1),
            )
            found = [PAUSED] if hours < 12 else [PAUSED, LACKS]
            await make_preflight(
                session,
                **own,
                event_id=event.id,
                findings={"items": [each.as_json() for each in found]},
                problems=len(found),
            )

    async with database.reading() as session:
        (troubled,) = await troubled_now(session, studio.organization_id, NOW)
    assert (troubled.title, troubled.findings) == ("In 12", (LACKS,))
