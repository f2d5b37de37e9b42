"""What the people behind the simulated phones do: scan, unlink, join, read, react."""

import sqlite3
from collections.abc import Callable

import structlog

from groupline_gateway.clock import Clock
from groupline_gateway.contract import (
    DisconnectReason,
    MembershipEvent,
    Restriction,
    SessionStatus,
)
from groupline_gateway.engines.port import GroupView
from groupline_gateway.engines.simulator import network, pairing, world
from groupline_gateway.engines.simulator.events import Events, MessageRef
from groupline_gateway.engines.simulator.phones import PhoneBook
from groupline_gateway.engines.simulator.schemas import (
    AutoReceipts,
    GroupChange,
    GroupsWanted,
    MessageChoice,
    NewMessageError,
    NewReaction,
    NewReceipts,
)
from groupline_gateway.engines.simulator.sessions import Session, SessionBook
from groupline_gateway.errors import BadRequest, Conflict, NotFound
from groupline_gateway.ledger import message_id_for
from groupline_gateway.logs import mask_phone
from groupline_gateway.store import Store

log = structlog.get_logger()

LINKED_DEVICES = 4


class People:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        phones: PhoneBook,
        sessions: SessionBook,
        events: Events,
        reject: Callable[[str | None, str], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._phones = phones
        self._sessions = sessions
        self._events = events
        self._reject = reject

    async def scan(self, number: str, session_id: str, qr: str | None) -> Session:
        """Link a session to a phone, as scanning its QR code does."""
        self._phones.get(number)
        session = self._sessions.get(session_id)
        shown = session.view(self._clock.now(), None).qr
        if shown is None:
            raise Conflict("This session shows no QR code at the moment")
        if qr is not None and qr != shown:
            raise Conflict("This QR code is not the one that is shown any more")
        await self._link(number, session)
        return session

    async def enter_code(self, number: str, code: str) -> Session:
        """Link the session whose pairing code is typed on the phone it was made for."""
        self._phones.get(number)
        for session in self._sessions:
            view = session.view(self._clock.now(), None)
            shown = view.pairing_code
            if view.qr is None or shown is None or session.expected_phone != number:
                continue
            if pairing.same_code(code, shown):
                await self._link(number, session)
                return session
        raise BadRequest("This code belongs to no pairing of this number")

    async def unlink(self, session: Session) -> None:
        """Remove the linked device on the phone: the pairing is gone."""
        await self._disconnect(session, DisconnectReason.LOGGED_OUT)

    async def drop(self, session: Session) -> None:
        """Cut the connection; the pairing stands."""
        if session.status is SessionStatus.CONNECTED:
            await self._disconnect(session, DisconnectReason.CONNECTION_LOST)

    async def restore(self, session: Session) -> None:
        """Let a session whose connection was cut come back."""
        if session.phone is None or not session.connection_lost:
            raise Conflict("Only a session that lost its connection can come back")
        session.become_connected(self._clock.now(), session.phone)
        await self._tell(session)

    def session(self, session_id: str | None) -> Session | None:
        return self._sessions.find(session_id)

    def phone_of(self, session_id: str | None) -> str | None:
        session = self._sessions.find(session_id)
        return None if session is None else session.phone

    def sessions_of(self, number: str, session_id: str | None) -> list[Session]:
        self._phones.get(number)
        linked = self._sessions.of_phone(number)
        chosen = [one for one in linked if session_id in (None, one.session_id)]
        if session_id is not None and not chosen:
            raise NotFound("This session is not linked to the phone")
        return chosen

    async def remove_phone(self, number: str) -> None:
        for session in self.sessions_of(number, None):
            await self.unlink(session)
        await self._phones.remove(number)

    async def restrict(self, number: str, restriction: Restriction | None) -> None:
        await self._phones.restrict(number, restriction)

    async def join(self, number: str, wanted: GroupsWanted) -> list[str]:
        joined = await self._phones.join(number, wanted)
        # A whole phone book of groups is not an event each; people join a few at a time.
        if len(joined) <= 50:
            for jid in joined:
                await self._membership(number, jid, "joined")
        return joined

    async def leave(self, number: str, jid: str) -> None:
        self._phones.get(number)
        await self._store.write(lambda connection: world.leave_group(connection, number, jid))
        await self._membership(number, jid, "left")

    async def set_admin(self, number: str, jid: str, is_admin: bool) -> None:
        self._phones.get(number)
        await self._store.write(
            lambda connection: world.set_admin(connection, number, jid, is_admin)
        )
        await self._membership(number, jid, "promoted" if is_admin else "demoted")

    async def change_group(self, jid: str, change: GroupChange) -> None:
        members = await self._store.write(
            lambda connection: world.change_group(
                connection,
                jid,
                name=change.name,
                announce_only=change.announce_only,
                size=change.participants,
            )
        )
        if change.name is not None:
            for number in members:
                await self._membership(number, jid, "renamed")

    async def groups(self, number: str) -> list[GroupView]:
        self._phones.get(number)
        return await self._store.read(lambda connection: world.groups_of(connection, number))

    async def receive(self, wanted: NewReceipts) -> int:
        """Send receipts for a message; how many."""
        message = await self._message(wanted)
        if isinstance(wanted.readers, int):
            people = world.made_up_participants(message.group_jid, wanted.readers)
            readers = [person.phone or person.id for person in people]
        else:
            readers = list(wanted.readers)
        readers += [""] * wanted.anonymous
        for reader in readers:
            await self._events.receipt(message, read=wanted.event == "read", reader=reader)
        return len(readers)

    async def auto_receipts(self, message: MessageRef, wanted: AutoReceipts) -> None:
        people = world.made_up_participants(message.group_jid, wanted.readers)
        for index, person in enumerate(people):
            reader = "" if index < wanted.anonymous else person.phone or person.id
            later = index * 0.4
            delivered_at = wanted.delivered_after + later
            await self._events.receipt(message, read=False, reader=reader, delay=delivered_at)
            if wanted.read_after is not None:
                read_at = wanted.read_after + later
                await self._events.receipt(message, read=True, reader=reader, delay=read_at)

    async def react(self, wanted: NewReaction) -> None:
        message = await self._message(wanted)
        await self._events.reaction(message, wanted.emoji, wanted.reactor)

    async def turn_down(self, wanted: NewMessageError) -> None:
        """WhatsApp turns a message down after it was taken."""
        message = await self._message(wanted)
        self._reject(message.client_ref, wanted.error_message)
        await self._events.message_error(message, wanted.error_code, wanted.error_message)

    async def _link(self, number: str, session: Session) -> None:
        if len(self._sessions.of_phone(number)) >= LINKED_DEVICES:
            raise Conflict(f"This phone has {LINKED_DEVICES} linked devices already")
        session.become_connected(self._clock.now(), number)
        await self._tell(session)
        log.info("session.connected", session_id=session.session_id, phone=mask_phone(number))

    async def _disconnect(self, session: Session, reason: DisconnectReason) -> None:
        session.become_disconnected(self._clock.now(), reason)
        await self._tell(session)
        log.info("session.disconnected", session_id=session.session_id, reason=reason.value)

    async def _tell(self, session: Session) -> None:
        await self._sessions.save(session)
        await self._events.status(session)

    async def _membership(self, number: str, jid: str, what: str) -> None:
        name = await self._store.read(lambda connection: world.group_name_of(connection, jid))
        for session in self._sessions.of_phone(number):
            event = MembershipEvent.model_validate(
                {
                    "event": what,
                    "sessionId": session.session_id,
                    "groupJid": jid,
                    "groupName": name,
                    "phoneNumber": f"+{number}",
                    "timestamp": self._events.timestamp(),
                }
            )
            await self._events.membership(session, event)

    async def _message(self, choice: MessageChoice) -> MessageRef:
        message_id = choice.message_id or message_id_for(str(choice.client_ref))
        row: sqlite3.Row | None = await self._store.read(
            lambda connection: network.find_delivery(connection, message_id)
        )
        if row is None:
            raise NotFound("The network has no such message")
        return MessageRef(
            session_id=row["session_id"],
            phone=row["phone"],
            group_jid=row["group_jid"],
            message_id=row["message_id"],
            client_ref=row["client_ref"],
        )
