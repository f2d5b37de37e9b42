"""Faults on demand: what is to go wrong, for whom, and how often.

A rule says which requests it is about and either fires for the next ``times`` of them, or by
chance from a seeded generator, so that a run can be repeated. Rules outlive the process: a
gateway that was crashed by a fault comes back with what is left of them.
"""

import random
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from groupline_gateway.contract import WebhookType, Wire
from groupline_gateway.errors import NotFound
from groupline_gateway.store import Store


class Route(StrEnum):
    """The calls that faults can be about."""

    HEALTH = "health"
    CONNECT = "connect"
    STATUS = "status"
    DISCONNECT = "disconnect"
    GROUPS = "groups"
    INVITE = "invite"
    PARTICIPANTS = "participants"
    SEND = "send"
    MESSAGE_STATUS = "message-status"
    WEBHOOKS = "webhooks"


class FaultKind(StrEnum):
    # Any call.
    DELAY = "delay"
    NO_ANSWER = "no_answer"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    UNAVAILABLE = "unavailable"
    ERROR = "error"
    HTML = "html"
    RATE_LIMITED = "rate_limited"
    UNAUTHORIZED = "unauthorized"
    GARBAGE = "garbage"
    LOGOUT = "logout"
    DROP = "drop"
    CRASH_BEFORE = "crash_before"
    CRASH_AFTER = "crash_after"
    # /send.
    ACCEPTED = "accepted"
    LIE = "lie"
    REFUSE = "refuse"
    EMPTY = "empty"
    REJECTED_LATER = "rejected_later"
    # /status.
    QR_MISSING = "qr_missing"
    STATUS_WORD = "status_word"
    # /groups.
    GROUPS_EMPTY = "groups_empty"
    GROUPS_CUT = "groups_cut"
    # Events on their way out.
    LATE = "late"
    TWICE = "twice"
    REORDERED = "reordered"
    NEVER = "never"


_ONLY_ROUTE = {
    FaultKind.ACCEPTED: Route.SEND,
    FaultKind.LIE: Route.SEND,
    FaultKind.REFUSE: Route.SEND,
    FaultKind.EMPTY: Route.SEND,
    FaultKind.REJECTED_LATER: Route.SEND,
    FaultKind.QR_MISSING: Route.STATUS,
    FaultKind.STATUS_WORD: Route.STATUS,
    FaultKind.GROUPS_EMPTY: Route.GROUPS,
    FaultKind.GROUPS_CUT: Route.GROUPS,
    FaultKind.LATE: Route.WEBHOOKS,
    FaultKind.TWICE: Route.WEBHOOKS,
    FaultKind.REORDERED: Route.WEBHOOKS,
    FaultKind.NEVER: Route.WEBHOOKS,
}

CRASHES = frozenset({FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER})
SEND_KINDS = CRASHES | {FaultKind.ACCEPTED, FaultKind.REJECTED_LATER}
"""What happens inside a send, between its intent and its answer."""
WEBHOOK_KINDS = frozenset(kind for kind, route in _ONLY_ROUTE.items() if route is Route.WEBHOOKS)


class Callback(StrEnum):
    """What becomes of an event or of the callback after "accepted"."""

    ONCE = "once"
    EARLY = "early"
    """Before the answer."""
    LATE = "late"
    TWICE = "twice"
    REORDERED = "reordered"
    NEVER = "never"
    FAILED = "failed"
    """The message does not reach the group, and the callback says so."""


class FaultRule(Wire):
    """What is to go wrong. Fields that a kind does not use are ignored by it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "reset_after", "route": "send", "times": 1}]},
    )

    kind: FaultKind
    route: Route | None = Field(None, description="Only this call; without it every call")
    session_id: str | None = Field(None, description="Only this session")
    phone: str | None = Field(None, description="Only sessions of this phone", pattern=r"^\+?\d+$")
    event_types: tuple[WebhookType, ...] = Field((), description="Only these events")
    probability: float = Field(1.0, gt=0, le=1)
    times: int | None = Field(None, ge=1, description="Only so often; without it until removed")
    skip: int = Field(0, ge=0, description="Let so many matching requests pass first")
    seed: int = Field(1, description="Of the generator behind `probability`")
    seconds: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="delay, late, twice, reordered, accepted, rejected_later: 1 without it; "
        "no_answer: at most so long, 60 without it",
    )
    carried_out: bool | None = Field(
        None,
        description="Whether what was asked for is done before the answer goes wrong. Without "
        "it: yes for no_answer, no for unavailable, error, html, rate_limited, unauthorized, "
        "garbage, lie, refuse and empty",
    )
    http_status: int | None = Field(None, ge=200, le=599, description="error, html")
    retry_after: int | None = Field(None, ge=0, description="rate_limited")
    message_id: bool = Field(False, description="lie: with a message id nobody will find")
    callback: Callback = Field(Callback.ONCE, description="accepted")
    word: str = Field("hibernating", description="status_word")
    keep: float = Field(0.3, ge=0, lt=1, description="groups_cut: the part that is left")
    error_code: int = Field(420, description="rejected_later")
    error_text: str = Field(
        "rate-overlimit", description="rejected_later, refuse, accepted: failed"
    )

    @model_validator(mode="after")
    def _kind_fits_route(self) -> Self:
        only = _ONLY_ROUTE.get(self.kind)
        if only is not None and self.route not in (None, only):
            raise ValueError(f"{self.kind} is a fault of {only} only")
        if only is None and self.route is Route.WEBHOOKS:
            raise ValueError(f"{self.kind} is no fault of webhooks")
        return self

    @property
    def pause(self) -> float:
        if self.seconds is not None:
            return self.seconds
        return 60.0 if self.kind is FaultKind.NO_ANSWER else 1.0

    def concerns(self, subject: "Subject") -> bool:
        wanted = _ONLY_ROUTE.get(self.kind, self.route)
        if wanted is None:
            wanted = subject.route
        return (
            wanted is subject.route
            and self.session_id in (None, subject.session_id)
            and (self.phone is None or self.phone.lstrip("+") == subject.phone)
            and (not self.event_types or subject.event_type in self.event_types)
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fault may strike."""

    route: Route
    session_id: str | None = None
    phone: str | None = None
    event_type: WebhookType | None = None


@dataclass(slots=True)
class Armed:
    """A rule, with what has become of it."""

    id: int
    rule: FaultRule
    seen: int = 0
    fired: int = 0
    dice: random.Random = field(default_factory=random.Random)

    @property
    def spent(self) -> bool:
        return self.rule.times is not None and self.fired >= self.rule.times

    def strikes(self) -> bool:
        """Whether it fires for a request that it concerns."""
        self.seen += 1
        if self.spent or self.seen <= self.rule.skip:
            return False
        if self.rule.probability < 1 and self.dice.random() >= self.rule.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """The rules in force."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._armed: dict[int, Armed] = {}

    def __bool__(self) -> bool:
        return any(not armed.spent for armed in self._armed.values())

    async def load(self) -> None:
        rows = await self._store.read(
            lambda connection: connection.execute(
                "SELECT id, rule, seen, fired FROM sim_faults ORDER BY id"
            ).fetchall()
        )
        for row in rows:
            rule = FaultRule.model_validate_json(row["rule"])
            self._armed[row["id"]] = _arm(row["id"], rule, row["seen"], row["fired"])

    def all(self) -> list[Armed]:
        return list(self._armed.values())

    async def add(self, rule: FaultRule) -> Armed:
        text = rule.model_dump_json(by_alias=True)

        def insert(connection: sqlite3.Connection) -> int:
            cursor = connection.execute("INSERT INTO sim_faults (rule) VALUES (?)", (text,))
            return int(cursor.lastrowid or 0)

        number = await self._store.write(insert)
        self._armed[number] = _arm(number, rule, 0, 0)
        return self._armed[number]

    async def remove(self, number: int) -> None:
        if self._armed.pop(number, None) is None:
            raise NotFound("There is no such fault")
        await self._store.write(
            lambda connection: (
                connection.execute("DELETE FROM sim_faults WHERE id = ?", (number,)).rowcount
            )
        )

    async def clear(self) -> int:
        count = len(self._armed)
        self._armed.clear()
        await self._store.write(
            lambda connection: connection.execute("DELETE FROM sim_faults").rowcount
        )
        return count

    def draw(self, subject: Subject, kinds: Collection[FaultKind]) -> list[FaultRule]:
        """The faults that strike now, in the order they were asked for."""
        struck = [
            armed
            for armed in self._armed.values()
            if armed.rule.kind in kinds and armed.rule.concerns(subject) and armed.strikes()
        ]
        if struck:
            self._note([(armed.seen, armed.fired, armed.id) for armed in struck])
        return [armed.rule for armed in struck]

    async def noted(self) -> None:
        """Return once every firing so far is on disk: a crash must not repeat itself."""
        await self._store.write(lambda _connection: None)

    def _note(self, rows: list[tuple[int, int, int]]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE sim_faults SET seen = ?, fired = ? WHERE id = ?", rows)

        self._store.write_soon(work, event="fault.note_failed")


def callback_delays(callback: Callback, seconds: float, roll: float) -> tuple[float, ...]:
    """When an event is delivered, in seconds from now; ``roll`` is between 0 and 1."""
    match callback:
        case Callback.ONCE | Callback.EARLY | Callback.FAILED:
            return (0.0,)
        case Callback.LATE:
            return (seconds,)
        case Callback.TWICE:
            return (0.0, seconds)
        case Callback.REORDERED:
            return (seconds * roll,)
        case Callback.NEVER:
            return ()


def _arm(number: int, rule: FaultRule, seen: int, fired: int) -> Armed:
    # After a restart the generator goes on from a new place, but from the same one each time.
    return Armed(number, rule, seen, fired, random.Random(f"{rule.seed}/{seen}"))  # noqa: S311 - dice
