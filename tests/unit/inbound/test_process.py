"""What is logged of an event that could not be applied."""

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from tests.support.clock import NOW
from tests.support.ports import free_port

from groupline.db import Announcements, Database
from groupline.ids import new_id
from groupline.inbound.process import process_event


async def test_a_database_that_is_away_is_one_line_without_a_traceback() -> None:
    url = f"postgresql://groupline@127.0.0.1:{free_port()}/groupline"
    database = Database(url, announcements=Announcements())
    with capture_logs() as logged, pytest.raises(OperationalError):
        await process_event(database, new_id(), NOW, pace_seconds=1)
    await database.dispose()
    (line,) = logged
    assert (line["event"], line["exc_info"]) == ("inbound.failed", False)
