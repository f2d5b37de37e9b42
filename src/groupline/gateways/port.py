"""What Groupline asks of a gateway, whatever its kind.

`status`, `send`, `message_status` and `probe` answer in values and never raise for what a
gateway does. The other calls raise the gateway errors of `groupline.errors`, whose `detail`
is written for people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from groupline.gateways.outcomes import (
    FailureKind,
    LookupAnswer,
    QrCode,
    Reading,
    SendOutcome,
)


class Capability(StrEnum):
    CLIENT_REF = "client_ref"
    """Idempotent sends by `client_ref`, and exact, durable look-ups by it."""
    STATUS_EVENTS = "status_events"
    RECEIPTS = "receipts"
    SIGNED_WEBHOOKS = "signed_webhooks"
    RESTRICTION_INFO = "restriction_info"
    PAIRING_CODE = "pairing_code"
    """A connect takes the number that is expected, and can show a code to type on the phone."""
    SESSIONS = "sessions"
    """It lists the sessions that it holds: the driver is a `ListsSessions`."""
    SIMULATOR = "simulator"
    """The phones are simulated: the driver is a `SimulatedPhones`."""


_MAX_GROUPS = "max_groups"


@dataclass(frozen=True, slots=True)
class Capabilities:
    names: frozenset[Capability] = frozenset()
    max_groups: int | None = None
    """The gateway lists at most this many groups: exactly as many means cut."""

    def __contains__(self, capability: Capability) -> bool:
        return capability in self.names

    def as_json(self) -> list[str]:
        """For the `gateways` table; `parse` reads it back."""
        names = sorted(str(name) for name in self.names)
        return names if self.max_groups is None else [*names, f"{_MAX_GROUPS}={self.max_groups}"]

    @classmethod
    def parse(cls, value: object) -> Capabilities:
        """Tolerant: words that we do not know are left out, anything but a list is none."""
        words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
        known = {str(capability): capability for capability in Capability}
        names = frozenset(known[word] for word in words if word in known)
        return cls(names=names, max_groups=_max_groups(words))


def _max_groups(words: list[str]) -> int | None:
    for word in words:
        name, _, number = word.partition("=")
        if name == _MAX_GROUPS and number.isascii() and number.isdigit() and len(number) < 8:
            return int(number)
    return None


@dataclass(frozen=True, slots=True)
class Proxy:
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Probe:
    """One look at the gateway itself."""

    reachable: bool
    authenticated: bool | None
    """None: not established, because the gateway is not reachable or the route is open."""
    latency_ms: float | None
    version: str | None = None
    engine: str | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    error: str | None = None
    """For people; None when all is well."""
    failure: FailureKind | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """What the gateway answered to a connect. The rest follows by `status`."""

    qr: QrCode | None = None
    pairing_code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class GatewayGroup:
    """One group as the gateway lists it. None means that the gateway did not say."""

    jid: str
    name: str | None = None
    participant_count: int | None = None
    is_admin: bool | None = None
    is_community: bool | None = None
    is_community_announce: bool | None = None
    announce_only: bool | None = None
    invite_link: str | None = None


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """An entry that could not be used, and why."""

    jid: str | None
    reason: str


class ListingHint(StrEnum):
    """Reasons not to conclude from an absence."""

    EMPTY = "empty"
    AT_CAP = "at_cap"
    DECLARED_INCOMPLETE = "declared_incomplete"
    ENTRIES_SKIPPED = "entries_skipped"


@dataclass(frozen=True, slots=True)
class GroupListing:
    groups: tuple[GatewayGroup, ...]
    """One per jid, in the order of the answer; repetitions are merged."""
    complete: bool | None
    """What the gateway says about it; None if it says nothing."""
    reported: int
    """Entries in the answer, before merging and skipping."""
    skipped: tuple[SkippedEntry, ...] = ()
    hints: tuple[ListingHint, ...] = ()


@dataclass(frozen=True, slots=True)
class Invite:
    link: str
    code: str


@dataclass(frozen=True, slots=True)
class Participant:
    id: str
    """A jid or a LID, as the gateway sent it."""
    phone: str | None
    """E.164 digits where the gateway knows them; a LID is not a phone."""
    is_admin: bool
    is_super_admin: bool


@dataclass(frozen=True, slots=True)
class ParticipantListing:
    participants: tuple[Participant, ...]
    group_name: str | None
    total: int
    skipped: tuple[SkippedEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldSession:
    """A session as its gateway lists it."""

    id: str
    status: str | None = None
    """In the gateway's own words."""
    since: datetime | None = None
    phone: str | None = None
    """Often only its last digits."""
    detail: str | None = None
    """What is wrong with it, as a sentence."""
    memory_mb: float | None = None
    """Of its own process, where it has one."""
    restarts: int | None = None
    """Of this process, since the gateway started."""


@dataclass(frozen=True, slots=True)
class HeldSessions:
    """All that a gateway holds, and what it says of its limits."""

    sessions: tuple[HeldSession, ...]
    limit: int | None = None
    """How many it takes."""
    memory_limit_mb: int | None = None
    """Of the process of one session."""


@dataclass(frozen=True, slots=True)
class SimulatedPhone:
    number: str
    name: str
    groups: int


class GatewayDriver(Protocol):
    """A gateway that can be talked to. Safe for concurrent use."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def probe(self) -> Probe:
        """Look at the gateway itself. Never raises for its behaviour."""
        ...

    async def connect(
        self,
        session_id: str,
        *,
        proxy: Proxy | None = None,
        expected_phone: str | None = None,
        pairing_code: bool = False,
    ) -> Pairing:
        """Start, or revive, a pairing. Raises a gateway error."""
        ...

    async def status(self, session_id: str) -> Reading:
        """Never raises for the gateway's behaviour."""
        ...

    async def disconnect(self, session_id: str) -> None:
        """Log the session out. One that is already gone is a success. Raises a gateway error."""
        ...

    async def groups(
        self,
        session_id: str,
        *,
        include_invite_links: bool = False,
        own_phone: str | None = None,
    ) -> GroupListing:
        """`own_phone` finds us among the participants of gateways that do not say `isAdmin`.

        Raises a gateway error.
        """
        ...

    async def invite(self, session_id: str, jid: str) -> Invite:
        """Raises a gateway error."""
        ...

    async def participants(self, session_id: str, jid: str) -> ParticipantListing:
        """Raises a gateway error."""
        ...

    async def send(
        self,
        session_id: str,
        jid: str,
        message: str,
        *,
        media_url: str | None = None,
        media_type: str | None = None,
        client_ref: str | None = None,
        before_write: Callable[[], None] | None = None,
    ) -> SendOutcome:
        """Never raises for the gateway's behaviour. Cancelling it leaves the outcome unknown.

        `before_write` is called when all that may take long is over, and right before the request
        is written. What it raises is raised here, and nothing has been written then.
        """
        ...

    async def message_status(
        self, session_id: str, *, client_ref: str | None = None, group_jid: str | None = None
    ) -> LookupAnswer:
        """By `client_ref` where the gateway can, else the last message to `group_jid`."""
        ...

    async def aclose(self) -> None:
        """Give back what the driver holds. The shared HTTP client is not its own."""
        ...


@runtime_checkable
class ListsSessions(Protocol):
    """Offered by drivers whose gateway may list what it holds."""

    async def sessions(self) -> HeldSessions:
        """All of them, whoever they belong to. Raises a gateway error."""
        ...


@runtime_checkable
class SimulatedPhones(Protocol):
    """Offered by drivers whose gateway may run the simulator engine."""

    async def list_phones(self) -> list[SimulatedPhone]:
        """Raises a gateway error."""
        ...

    async def scan(self, number: str, session_id: str) -> None:
        """Let a simulated phone scan the session's QR code. Raises a gateway error."""
        ...
