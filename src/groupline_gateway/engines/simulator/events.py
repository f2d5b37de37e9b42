"""What the simulated WhatsApp tells the gateway, and the gateway its listener."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from groupline_gateway.clock import Clock, iso
from groupline_gateway.contract import (
    MembershipEvent,
    MessageErrorEvent,
    ReactionEvent,
    ReceiptEvent,
    SendCallback,
    StatusEvent,
    WebhookType,
    Wire,
)
from groupline_gateway.engines.faults import (
    WEBHOOK_KINDS,
    Callback,
    Faults,
    Route,
    Subject,
    callback_delays,
)
from groupline_gateway.engines.port import Order
from groupline_gateway.engines.simulator.sessions import Session


class EventSink(Protocol):
    """Where events go to be delivered."""

    async def emit(
        self,
        kind: WebhookType,
        data: dict[str, Any],
        *,
        lane: str | None = None,
        delays: Iterable[float] = (0.0,),
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class MessageRef:
    """A message that reached the network."""

    session_id: str
    phone: str
    group_jid: str
    message_id: str
    client_ref: str | None = None


class Events:
    def __init__(self, sink: EventSink, faults: Faults, clock: Clock, seed: int) -> None:
        self._sink = sink
        self._faults = faults
        self._clock = clock
        self._dice = random.Random(seed)  # noqa: S311 - dice

    def delays(self, callback: Callback, seconds: float) -> tuple[float, ...]:
        return callback_delays(callback, seconds, self._dice.random())

    async def status(self, session: Session) -> None:
        event = StatusEvent(
            session_id=session.session_id,
            status=session.status,
            phone_number=None if session.phone is None else f"+{session.phone}",
            timestamp=iso(session.since),
            reason=session.reason,
        )
        # In order, one after the other: an old state must not arrive after a newer one.
        await self._emit(
            WebhookType.STATUS,
            event,
            session.session_id,
            session.phone,
            lane=f"status/{session.session_id}",
        )

    async def callback(
        self, message: MessageRef, delays: tuple[float, ...], *, error: str | None = None
    ) -> None:
        event = SendCallback(
            event="message_sent" if error is None else "message_failed",
            session_id=message.session_id,
            group_jid=message.group_jid,
            message_id=message.message_id if error is None else None,
            status="sent" if error is None else "failed",
            error=error,
            timestamp=self._now(),
            client_ref=message.client_ref,
        )
        await self._emit_about(WebhookType.SEND_CALLBACK, event, message, delays)

    async def message_error(
        self, message: MessageRef, code: int, text: str, *, delay: float = 0.0
    ) -> None:
        event = MessageErrorEvent(
            session_id=message.session_id,
            message_id=message.message_id,
            error_code=code,
            error_message=text,
            group_jid=message.group_jid,
            client_ref=message.client_ref,
        )
        await self._emit_about(WebhookType.MESSAGE_ERROR, event, message, (delay,))

    async def receipt(
        self, message: MessageRef, *, read: bool, reader: str, delay: float = 0.0
    ) -> None:
        event = ReceiptEvent(
            event="read" if read else "delivered",
            session_id=message.session_id,
            message_id=message.message_id,
            group_jid=message.group_jid,
            reader_phone=reader,
            timestamp=self._now(),
        )
        await self._emit_about(WebhookType.READ_RECEIPT, event, message, (delay,))

    async def reaction(self, message: MessageRef, emoji: str, reactor: str) -> None:
        event = ReactionEvent(
            session_id=message.session_id,
            message_id=message.message_id,
            group_jid=message.group_jid,
            emoji=emoji,
            reactor_phone=reactor,
            timestamp=self._now(),
        )
        await self._emit_about(WebhookType.REACTION, event, message, (0.0,))

    async def membership(self, session: Session, event: MembershipEvent) -> None:
        await self._emit(
            WebhookType.MEMBERSHIP,
            event,
            session.session_id,
            session.phone,
            lane=f"membership/{session.session_id}",
        )

    def timestamp(self, moment: datetime | None = None) -> str:
        return iso(moment or self._clock.now())

    def _now(self) -> str:
        return iso(self._clock.now())

    async def _emit_about(
        self, kind: WebhookType, event: Wire, message: MessageRef, delays: tuple[float, ...]
    ) -> None:
        await self._emit(kind, event, message.session_id, message.phone, delays=delays)

    async def _emit(
        self,
        kind: WebhookType,
        event: Wire,
        session_id: str,
        phone: str | None,
        *,
        lane: str | None = None,
        delays: tuple[float, ...] = (0.0,),
    ) -> None:
        subject = Subject(Route.WEBHOOKS, session_id, phone, kind)
        for fault in self._faults.draw(subject, WEBHOOK_KINDS):
            # A lane would put them back in order.
            lane = None
            extra = self.delays(Callback(fault.kind.value), fault.pause)
            delays = tuple(delay + more for delay in delays for more in extra)
        data = event.model_dump(by_alias=True, mode="json")
        optional = {"reason", "detail", "restriction", "clientRef", "phoneNumber"}
        data = {
            name: value for name, value in data.items() if value is not None or name not in optional
        }
        await self._sink.emit(kind, data, lane=lane, delays=delays)


def message_ref(order: Order, phone: str, message_id: str) -> MessageRef:
    return MessageRef(order.session_id, phone, order.recipient, message_id, order.client_ref)
