"""A process that syncs the groups of a number, until somebody kills it.

Run by `test_killed`, with the address of the database, the secret, the organization and the number.
"""

import asyncio
import sys
from uuid import UUID

from groupline.groups.sync import GroupSync
from groupline.journal import SYSTEM
from groupline.runtime import open_runtime
from groupline.settings import Settings


async def main(url: str, secret_key: str, organization_id: str, number_id: str) -> None:
    async with open_runtime(Settings(database_url=url, secret_key=secret_key)) as runtime:
        sync = GroupSync(runtime.database, runtime.gateways, runtime.clock)
        await sync.run(UUID(organization_id), UUID(number_id), actor=SYSTEM)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
