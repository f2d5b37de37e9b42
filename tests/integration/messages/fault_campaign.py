"""Thousands of messages while everything fails that can fail: what the campaigns are made of.

The simulator counts the copies; a seed reproduces the order of events.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
import uvicorn
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from tests.integration.messages.fault_verdict import Rejected, plain_logs, verdict, waiting_in
from tests.integration.messages.outbox import OWN_CAPABILITIES
from tests.support.app import open_test_runtime, running_app
from tests.support.factories import (
    make_gateway,
    make_group,
    make_membership,
    make_message,
    make_number,
    make_organization,
    make_session,
)
from tests.support.gateway import (
    API_KEY,
    WEBHOOK_SECRET,
    GatewayClient,
    GatewayProcess,
    gateway_process,
)
from tests.support.keys import SECRET_KEY

from groupline.clock import SystemClock
from groupline.db import Database
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.gateways.webhook_secrets import write_webhook_secrets
from groupline.ids import new_id
from groupline.models import InboundEvent, ScheduledWhatsappMessage
from groupline.vault import Vault

SEED: Final = int(os.environ.get("GROUPLINE_TEST_SEED", "20260302"))
NUMBERS: Final = 24
PER_NUMBER: Final = 50
CAP: Final = 16
TROUBLE_SECONDS: Final = 12.0
LONGEST_TROUBLE_SECONDS: Final = 90.0
DEADLINE_SECONDS: Final = 150.0
COMES_BACK_SECONDS: Final = 60.0
ROOT: Final = Path(__file__).parents[3]

FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "reset_before", "route": "send", "probability": 0.02},
    {"kind": "reset_after", "route": "send", "probability": 0.02},
    {"kind": "no_answer", "route": "send", "probability": 0.01, "seconds": 3},
    {"kind": "delay", "route": "send", "probability": 0.02, "seconds": 1.5},
    {"kind": "unavailable", "route": "send", "probability": 0.02},
    {"kind": "error", "route": "send", "probability": 0.01},
    {"kind": "error", "route": "send", "probability": 0.01, "carriedOut": True},
    {"kind": "html", "route": "send", "probability": 0.01, "carriedOut": True},
    {"kind": "html", "route": "send", "probability": 0.01},
    {"kind": "garbage", "route": "send", "probability": 0.01, "carriedOut": True},
    {"kind": "rate_limited", "route": "send", "probability": 0.02},
    {"kind": "lie", "route": "send", "probability": 0.01},
    {"kind": "refuse", "route": "send", "probability": 0.01},
    {"kind": "empty", "route": "send", "probability": 0.01},
    {"kind": "accepted", "route": "send", "probability": 0.02, "callback": "never"},
    {"kind": "crash_before", "route": "send", "probability": 0.001},
    {"kind": "crash_after", "route": "send", "probability": 0.001},
    {"kind": "unavailable", "route": "message-status", "probability": 0.2},
    {"kind": "reset_before", "route": "message-status", "probability": 0.1},
)


@dataclass
class Campaign:
    """A full outbox, a gateway that fails, and workers that are killed."""

    url: str
    database: Database
    directory: Path
    gateway: GatewayProcess
    dice: random.Random
    knows_references: bool
    faults: Sequence[Mapping[str, Any]] = FAULTS
    gateway_id: UUID = field(default_factory=new_id)
    seed: int = SEED
    workers: list[asyncio.subprocess.Process] = field(default_factory=list)
    kills: int = 0

    async def start_worker(self) -> None:
        self.workers.append(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.integration.messages.campaign_worker",
                self.url,
                cwd=ROOT,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        )

    async def kill_a_worker(self) -> None:
        """SIGKILL, whatever it is doing; another one takes its place."""
        victim = self.workers.pop(self.dice.randrange(len(self.workers)))
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        self.kills += 1
        await self.start_worker()

    async def restart_gateway(self) -> None:
        """Kills it; the keeper starts it again. A fault may have been quicker."""
        with contextlib.suppress(ProcessLookupError):
            await self.gateway.kill()

    async def cut_connections(self) -> None:
        """PostgreSQL's connections of everybody else end, in the middle of what they do."""
        async with self.database.reading() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )

    async def make_trouble(self) -> None:
        """One bad thing after the other, in the order of the seed, while messages move.

        A slow machine takes longer to start a worker than a fast one to finish everything: each
        bad thing waits until something has moved, and half of the messages meet one. Each kind
        comes as often as the others, so that none is left out where everything takes long.
        """
        loop = asyncio.get_running_loop()
        moved = await self.moved(0)
        end, latest = loop.time() + TROUBLE_SECONDS, loop.time() + LONGEST_TROUBLE_SECONDS
        while loop.time() < end or (moved < NUMBERS * PER_NUMBER / 2 and loop.time() < latest):
            for happens in self.dice.sample(self.bad_things, len(self.bad_things)):
                await asyncio.sleep(self.dice.uniform(0.5, 2.0))
                await happens()
                moved = await self.moved(moved)

    @property
    def bad_things(self) -> Sequence[Callable[[], Awaitable[None]]]:
        with_any = (self.kill_a_worker, self.restart_gateway)
        return with_any if self.database.dialect == "sqlite" else (*with_any, self.cut_connections)

    async def moved(self, before: int) -> int:
        """How many messages have had an attempt, as soon as they are more than before."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                found = await self.statuses()
                moved = NUMBERS * PER_NUMBER - found["pending"]
                if moved > before or moved == NUMBERS * PER_NUMBER:
                    return moved
                await asyncio.sleep(0.2)

    async def keep_gateway(self) -> None:
        """Starts the gateway again whenever it has died, with its faults."""
        while True:
            await self.gateway.ended()
            with contextlib.suppress(AssertionError):  # killed before it had started
                await self.gateway.start()

    async def arm(self) -> None:
        async with self.gateway.client() as client:
            for rule in self.faults:
                await client.fault(**rule, seed=self.dice.randrange(1_000_000))

    async def disarm(self) -> None:
        """A gateway that is just starting answers a little later."""
        async with asyncio.timeout(COMES_BACK_SECONDS):
            while True:
                with contextlib.suppress(OSError, AssertionError, aiohttp.ClientError):
                    async with self.gateway.client() as client:
                        await client.delete("/sim/faults")
                        return
                await asyncio.sleep(0.1)

    async def statuses(self) -> Counter[str]:
        """A server that is being cut off may take a second call."""
        while True:
            with contextlib.suppress(OperationalError):
                return await self._statuses()

    async def _statuses(self) -> Counter[str]:
        message = ScheduledWhatsappMessage
        async with self.database.reading() as session:
            rows = await session.execute(
                select(message.status, func.count()).group_by(message.status)
            )
            return Counter({row[0]: row[1] for row in rows})

    async def settled(self) -> Counter[str]:
        """Waits until nothing can change any more without a person."""
        waited_for = {"pending", "sending", "accepted"}
        if self.knows_references:
            waited_for.add("uncertain")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                found = await self.statuses()
                if not waited_for & set(found):
                    return found
                await asyncio.sleep(0.3)

    async def messages(self) -> list[ScheduledWhatsappMessage]:
        async with self.database.reading() as session:
            return list(await session.scalars(select(ScheduledWhatsappMessage)))

    async def reports(self) -> Counter[str]:
        """What became of everything that the gateway reported by itself."""
        async with self.database.reading() as session:
            rows = await session.execute(
                select(InboundEvent.kind, InboundEvent.outcome, func.count()).group_by(
                    InboundEvent.kind, InboundEvent.outcome
                )
            )
            return Counter({f"{row[0]} {row[1]}": row[2] for row in rows})

    async def told_everything(self) -> None:
        """Waits until the gateway has told what it knows, and what it told has been understood.

        What matches no message that is in flight may wait for a day: it is about none of them.
        """
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                waiting = await asyncio.to_thread(waiting_in, self.directory / "gateway.db")
                if not waiting and not await self.misunderstood():
                    return
                await asyncio.sleep(0.3)

    async def misunderstood(self) -> int:
        """How many events about one message, by name, have not been applied yet."""
        event = InboundEvent
        async with self.database.reading() as session:
            found = await session.scalars(
                select(event.payload).where(
                    event.processed_at.is_(None), event.kind.in_(("send_callback", "message_error"))
                )
            )
            return sum(1 for payload in found if payload.get("clientRef"))

    async def rejected(self) -> Rejected:
        """What WhatsApp rejected, and of which of these we have been told."""
        event = InboundEvent
        async with self.database.reading() as session:
            told = await session.scalars(
                select(event.payload).where(
                    event.kind == "message_error", event.processed_at.is_not(None)
                )
            )
            known = frozenset(str(payload["messageId"]) for payload in told)
        async with self.gateway.client() as client:
            listed = await client.get("/sim/deliveries/rejections")
        return Rejected(frozenset(listed["messageIds"]), known)

    async def copies(self) -> Mapping[str, int]:
        """How many copies of each text reached its group; every message has a text of its own."""
        async with self.gateway.client() as client:
            counted = await client.copies(by="text")
        return {str(content): copies for (_, content), copies in counted.items()}

    async def judge(self) -> None:
        """What was told is read first: what is told later may not be applied to the messages."""
        rejected, messages = await self.rejected(), await self.messages()
        assert len(messages) == NUMBERS * PER_NUMBER, "a message was lost"
        verdict(messages, await self.copies(), rejected=rejected, seed=self.seed)


async def fill(campaign: Campaign, client: GatewayClient) -> None:
    now = datetime.now(UTC)
    phones = [str(919_700_000_000 + n) for n in range(NUMBERS)]
    async with campaign.database.writing() as session:
        organization_id = (await make_organization(session)).id
        gateway = await make_gateway(
            session,
            id=campaign.gateway_id,
            webhook_secrets=write_webhook_secrets(Vault(SECRET_KEY), [WEBHOOK_SECRET]),
            base_url=campaign.gateway.url,
            credentials=write_credentials(Vault(SECRET_KEY), API_KEY, AuthScheme.API_KEY),
            capabilities=OWN_CAPABILITIES if campaign.knows_references else [],
            max_in_flight=CAP,
        )
    for phone in phones:
        session_id = new_id()
        jids = await client.connect(f"wa_{session_id}", phone, [{"name": "A"}, {"name": "B"}])
        async with campaign.database.writing() as session:
            number = await make_number(
                session,
                organization_id=organization_id,
                phone_number=phone,
                pace_seconds=0.0,
            )
            await make_session(
                session,
                organization_id=organization_id,
                id=session_id,
                number_id=number.id,
                gateway_id=gateway.id,
            )
            groups = []
            for jid in jids:
                group = await make_group(session, organization_id=organization_id, group_jid=jid)
                await make_membership(
                    session,
                    organization_id=organization_id,
                    number_id=number.id,
                    group_id=group.id,
                )
                groups.append(group.id)
            for n in range(PER_NUMBER):
                await make_message(
                    session,
                    organization_id=organization_id,
                    number_id=number.id,
                    group_id=groups[n % 2],
                    content=f"{phone} {n}",
                    priority=n % 3,
                    scheduled_for=now,
                    expires_at=now + timedelta(days=1),
                )


@asynccontextmanager
async def hooks(database: Database) -> AsyncIterator[str]:
    """Groupline's own door for what gateways report, on a free port."""
    async with (
        open_test_runtime(database, SystemClock()) as runtime,
        running_app(runtime) as running,
    ):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as bound:
            config = uvicorn.Config(running.app, lifespan="off", log_config=None, access_log=False)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[bound]))
            try:
                yield f"http://127.0.0.1:{bound.getsockname()[1]}/hooks"
            finally:
                server.should_exit = True
                await serving


@asynccontextmanager
async def open_campaign(
    database: Database,
    url: str,
    directory: Path,
    *,
    workers: int,
    knows_references: bool,
    faults: Sequence[Mapping[str, Any]] = FAULTS,
    seed: int = SEED,
) -> AsyncIterator[Campaign]:
    async with AsyncExitStack() as stack:
        stack.enter_context(plain_logs())
        door, gateway_id = await stack.enter_async_context(hooks(database)), new_id()
        told: dict[str, Any] = {"GROUPLINE_GATEWAY_WEBHOOK_URL": f"{door}/{gateway_id}"}
        gateway = await stack.enter_async_context(gateway_process(directory, **told))
        dice = random.Random(seed)
        campaign = Campaign(
            url, database, directory, gateway, dice, knows_references, faults, gateway_id, seed
        )
        async with gateway.client() as client:
            await fill(campaign, client)
        keeper = asyncio.create_task(campaign.keep_gateway())
        await campaign.arm()
        try:
            for _ in range(workers):
                await campaign.start_worker()
            yield campaign
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            ended = [worker.returncode for worker in campaign.workers]
            assert set(ended) <= {None}, f"a worker ended by itself: {ended}"
            for worker in campaign.workers:
                worker.send_signal(signal.SIGTERM)
            for worker in campaign.workers:
                await worker.wait()


async def run(campaign: Campaign) -> Counter[str]:
    await campaign.make_trouble()
    await campaign.disarm()
    await campaign.settled()
    await campaign.told_everything()
    return await campaign.settled()
