"""What Groupline is told of sessions and messages, as webhooks of the contract."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from groupline_gateway.clock import Clock, from_epoch, iso
from groupline_gateway.contract import (
    MembershipEvent,
    ReceiptEvent,
    SendCallback,
    StatusEvent,
    WebhookType,
    Wire,
)
from groupline_gateway.engines.port import Confirmed
from groupline_gateway.engines.whatsmeow.protocol import Frame
from groupline_gateway.engines.whatsmeow.sessions import Session


class EventSink(Protocol):
    async def emit(
        self,
        kind: WebhookType,
        data: dict[str, Any],
        *,
        lane: str | None = None,
        delays: Iterable[float] = (0.0,),
    ) -> None: ...


class Events:
    def __init__(self, sink: EventSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    async def status(self, event: StatusEvent) -> None:
        # In order, one after the other: an old state must not arrive after a newer one.
        await self._emit(WebhookType.STATUS, event, lane=f"status/{event.session_id}")

    async def confirmed(self, message: Confirmed, message_id: str) -> None:
        """A message of unknown fate turned out to have been sent."""
        event = SendCallback(
            event="message_sent",
            session_id=message.session_id,
            group_jid=message.recipient,
            message_id=message_id,
            status="sent",
            timestamp=iso(self._clock.now()),
            client_ref=message.client_ref,
        )
        await self._emit(WebhookType.SEND_CALLBACK, event)

    async def receipt(self, session: Session, frame: Frame) -> None:
        for message_id in frame["messageIds"]:
            event = ReceiptEvent(
                event="read" if frame["kind"] == "read" else "delivered",
                session_id=session.session_id,
                message_id=message_id,
                group_jid=frame["chat"],
                reader_phone=frame["reader"],
                timestamp=self._time_of(frame),
            )
            await self._emit(WebhookType.READ_RECEIPT, event)

    async def membership(self, session: Session, frame: Frame) -> None:
        event = MembershipEvent(
            event=frame["change"],
            session_id=session.session_id,
            group_jid=frame["jid"],
            group_name=frame.get("name"),
            phone_number=None if session.phone is None else f"+{session.phone}",
            timestamp=self._time_of(frame),
        )
        lane = f"membership/{session.session_id}"
        await self._emit(WebhookType.MEMBERSHIP, event, lane=lane)

    def _time_of(self, frame: Frame) -> str:
        """WhatsApp's own time of it, which may be long ago: receipts wait for us."""
        at = frame.get("at")
        moment: datetime = from_epoch(at) if at else self._clock.now()
        return iso(moment)

    async def _emit(self, kind: WebhookType, event: Wire, *, lane: str | None = None) -> None:
        data = event.model_dump(by_alias=True, mode="json")
        optional = {"reason", "clientRef", "phoneNumber", "detail", "groupName"}
        said = {
            name: value for name, value in data.items() if value is not None or name not in optional
        }
        await self._sink.emit(kind, said, lane=lane)


def status_event(session: Session, now: datetime) -> StatusEvent:
    """How it is now. Its time is that of this word: the state may be older than what it tells."""
    return StatusEvent(
        session_id=session.session_id,
        status=session.status,
        phone_number=None if session.phone is None else f"+{session.phone}",
        timestamp=iso(now),
        reason=session.reason,
        detail=session.detail,
        restriction=session.view(now).restriction,
    )
