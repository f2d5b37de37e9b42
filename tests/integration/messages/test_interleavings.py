"""Rules 5 to 8 under any order of events: claims, answers, crashes, late arrivals, callbacks of
success and of failure, late rejections, receipts, look-ups, people, lost connections, reconnects
under a new session and at another gateway, a standby, groups that are left or turn into something
else. Hypothesis looks for the order that breaks them; what the gateways really did is known here,
and what they say is true. Set ``GROUPLINE_TEST_SEED`` to have it look elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.integration.messages.fault_campaign import SEED
from tests.integration.messages.interleavings import NUMBERS, POLICY, Request, World
from tests.integration.messages.outbox import PERSON
from tests.support.factories import (
    make_session,
)

from groupline.messages import service
from groupline.messages.feedback import (
    About,
    Source,
    apply_message_error,
    apply_receipt,
    apply_send_callback,
)
from groupline.messages.standby import move
from groupline.models import (
    InboundOutcome,
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)


class Outboxes(World):
    """What gateways report, what people decide, and what must hold at every moment."""

    # --- what comes by itself, late, twice and out of order

    @rule(pick=st.integers(0, 100), named=st.booleans())
    def callback(self, pick: int, named: bool) -> None:
        sent = [each for each in self.requests if each.fate in ("arrives", "rejected")]
        if not sent:
            return
        request = sent[pick % len(sent)]
        exact = named or request.fate == "rejected"
        about = About(
            client_ref=request.claim.client_ref if exact and request.claim.carries_ref else None,
            message_id=self.evidence(request),
            group_jid=None if exact else request.claim.group_jid,
        )
        self.report(request, about, "sent")

    @rule(pick=st.integers(0, 100))
    def failed_callback(self, pick: int) -> None:
        """The gateway had taken it, and says that it could not send it."""
        failed = [each for each in self.requests if each.fate == "never" and not each.refused]
        if not failed:
            return
        request = failed[pick % len(failed)]
        ref = request.claim.client_ref if request.claim.carries_ref else None
        self.report(request, About(client_ref=ref, group_jid=request.claim.group_jid), "failed")

    def report(self, request: Request, about: About, event: Literal["sent", "failed"]) -> None:
        async def tell(session: AsyncSession) -> None:
            await apply_send_callback(
                session,
                self.source(request),
                about,
                event=event,
                error=None,
                at=request.claim.started_at,
                now=self.now,
                policy=POLICY,
            )

        self.write(tell)

    def source(self, request: Request) -> Source:
        """It tells something about this one."""
        request.reported = True
        return Source(request.claim.gateway_id, request.claim.gateway_session_id)

    @rule(pick=st.integers(0, 100))
    def rejection(self, pick: int) -> None:
        """WhatsApp's own no, some time after the gateway's yes."""
        rejected = [each for each in self.requests if each.fate == "rejected"]
        if not rejected:
            return
        request = rejected[pick % len(rejected)]
        evidence = self.evidence(request)
        ref = request.claim.client_ref if request.claim.carries_ref else None

        async def tell(session: AsyncSession) -> InboundOutcome:
            return await apply_message_error(
                session,
                self.source(request),
                About(client_ref=ref, message_id=evidence),
                code=403,
                error=None,
                now=self.now,
                policy=POLICY,
            )

        if self.write(tell) == "applied":
            self.denied.add((request.claim.id, evidence))

    @rule(pick=st.integers(0, 100), reader=st.sampled_from(["", "919900000001", "7@lid"]))
    def receipt(self, pick: int, reader: str) -> None:
        arrived = [each for each in self.requests if each.fate == "arrives"]
        if not arrived:
            return
        request = arrived[pick % len(arrived)]

        async def tell(session: AsyncSession) -> None:
            await apply_receipt(
                session,
                self.source(request),
                About(message_id=self.evidence(request)),
                kind="read",
                reader=reader,
                at=self.now,
                now=self.now,
            )

        self.write(tell)

    # --- people

    def choose(self, pick: int, *statuses: str) -> ScheduledWhatsappMessage | None:
        found = [row for row in self.rows() if row.status in statuses]
        return found[pick % len(found)] if found else None

    @rule(pick=st.integers(0, 100))
    def cancel(self, pick: int) -> None:
        row = self.choose(pick, "pending", "failed")
        if row is not None:
            self.decide(service.cancel, row)

    @rule(pick=st.integers(0, 100))
    def send_again(self, pick: int) -> None:
        row = self.choose(pick, "failed", "expired")
        if row is not None:
            self.decide(service.send_again, row)

    @rule(pick=st.integers(0, 100))
    def resolve(self, pick: int) -> None:
        """A person looks into the group once nothing can arrive there any more."""
        row = self.choose(pick, "uncertain")
        if row is None or any(
            each.claim.id == row.id and each.fate == "late" for each in self.requests
        ):
            return
        self.decide(service.resolve, row, arrived=self.copies[row.id] > 0)

    def decide(
        self, what: Callable[..., Coroutine[Any, Any, Any]], row: ScheduledWhatsappMessage, **k: Any
    ) -> None:
        self.write(
            lambda session: what(
                session, self.organization_id, row.id, actor=PERSON, now=self.now, **k
            )
        )

    # --- connections

    @rule(which=st.integers(0, NUMBERS - 1), connected=st.booleans())
    def connection(self, which: int, connected: bool) -> None:
        facts: dict[str, Any] = (
            {
                "status": "connected",
                "connected_at": self.now,
                "ended_reason": None,
                "disconnected_at": None,
            }
            if connected
            else {
                "status": "disconnected",
                "ended_reason": "disconnected",
                "disconnected_at": self.now,
            }
        )
        session_id = self.sessions[which][0]

        async def change(session: AsyncSession) -> None:
            await session.execute(
                update(WhatsappSession).where(WhatsappSession.id == session_id).values(**facts)
            )

        self.write(change)

    @rule(which=st.integers(0, NUMBERS - 1), gateway=st.integers(0, 1))
    def reconnect(self, which: int, gateway: int) -> None:
        """The number is paired anew, perhaps elsewhere: the old session is history."""
        old_id, _ = self.sessions[which]
        facts = {"ended_reason": "disconnected", "disconnected_at": self.now}

        async def pair(session: AsyncSession) -> None:
            await session.execute(
                update(WhatsappSession)
                .where(WhatsappSession.id == old_id)
                .values(status="disconnected", **facts)
            )
            made = await make_session(
                session,
                organization_id=self.organization_id,
                number_id=self.numbers[which],
                gateway_id=self.gateways[gateway],
                connected_at=self.now,
                verified_at=self.now,
            )
            self.sessions[which] = (made.id, made.gateway_session_id)

        self.write(pair)

    @rule(which=st.integers(0, NUMBERS - 1), stands_in=st.booleans())
    def stand_by(self, which: int, stands_in: bool) -> None:
        """A person sets or removes a standby; then it takes over what it may."""
        other = self.numbers[1 - which] if stands_in else None

        async def take_over(session: AsyncSession) -> None:
            await session.execute(
                update(WhatsappNumber)
                .where(WhatsappNumber.id == self.numbers[which])
                .values(standby_number_id=other)
            )
            await move(session, now=self.now)

        self.write(take_over)

    # --- groups

    @rule(number=st.integers(0, 1), group=st.integers(0, 1), leaves=st.booleans())
    def membership(self, number: int, group: int, leaves: bool) -> None:
        pair = (self.numbers[number], self.groups[group])
        (self.left.add if leaves else self.left.discard)(pair)
        statement = (
            update(WhatsappMembership)
            .where(WhatsappMembership.number_id == pair[0], WhatsappMembership.group_id == pair[1])
            .values(is_active=not leaves, missing_since=self.now if leaves else None)
        )
        self.write(lambda session: session.execute(statement))

    @rule(group=st.integers(0, 1), is_community=st.booleans())
    def turn_into_community(self, group: int, is_community: bool) -> None:
        group_id = self.groups[group]
        (self.communities.add if is_community else self.communities.discard)(group_id)
        statement = update(WhatsappGroup).where(WhatsappGroup.id == group_id)
        self.write(lambda session: session.execute(statement.values(is_community=is_community)))

    # --- what must hold at every moment

    @invariant()
    def nothing_arrives_twice(self) -> None:
        assert not [each for each, count in self.copies.items() if count > 1], "rule 6"

    @invariant()
    def sent_is_true(self) -> None:
        for row in self.rows() if self.ids else ():
            if row.status == "sent":
                handed_over = any(
                    each.fate == "rejected" and self.evidence(each) == row.gateway_message_id
                    for each in self.requests
                )
                assert handed_over or self.copies[row.id] == 1, "rule 5: it did not arrive"
                assert row.gateway_message_id or row.resolved_by, "rule 5: no evidence"
                denied = (row.id, row.gateway_message_id) in self.denied
                assert not denied, "rule 5: rejected, and nobody has received it"

    @invariant()
    def one_in_flight_per_number_and_few_per_gateway(self) -> None:
        claims = [each.claim for each in self.under_way()]
        of_number = Counter(each.number_id for each in claims)
        assert all(count == 1 for count in of_number.values()), "rule 7"
        at_gateway = Counter(each.gateway_id for each in claims)
        assert at_gateway <= Counter(self.caps), "rule 7: the cap of the gateway"

    @invariant()
    def none_is_lost(self) -> None:
        assert len(self.rows()) == len(self.ids)


@pytest.fixture
def machine(sqlite_template: Path) -> type[Outboxes]:
    Outboxes.template = sqlite_template
    return Outboxes


@pytest.mark.takes_long
@pytest.mark.timeout(300)
def test_no_order_of_events_breaks_the_rules(machine: type[Outboxes]) -> None:
    run_state_machine_as_test(
        seed(SEED)(machine),
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
