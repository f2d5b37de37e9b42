"""The ``/sim`` calls: phones, what their people do, and what reached whom."""

from enum import Enum
from typing import Any

from fastapi import APIRouter

from groupline_gateway.contract import Error, Restriction, Success
from groupline_gateway.engines.simulator.faults_routes import add_faults
from groupline_gateway.engines.simulator.network_routes import add_network
from groupline_gateway.engines.simulator.parts import Parts
from groupline_gateway.engines.simulator.schemas import (
    AdminChange,
    Changed,
    CodeEntry,
    GroupChange,
    GroupsWanted,
    Joined,
    Linked,
    NewPhone,
    NewRestriction,
    Phone,
    PhoneNumber,
    Phones,
    PhoneSession,
    Scan,
    SessionChoice,
    SimGroup,
    SimGroups,
)
from groupline_gateway.engines.simulator.sessions import Session
from groupline_gateway.engines.simulator.world import PhoneRecord

_PREFIX = "/sim"
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The request is wrong; `error` says where"},
    404: {"model": Error, "description": "No such phone, session or group"},
    409: {"model": Error, "description": "Not possible at the moment; `error` says why"},
}


def simulator_router(parts: Parts) -> APIRouter:
    router, about_one = APIRouter(prefix=_PREFIX), APIRouter(prefix=_PREFIX, responses=_RESPONSES)
    _add_list(router, parts)
    _add_phones(about_one, parts)
    _add_linking(about_one, parts)
    _add_groups(about_one, parts)
    router.routes.extend(about_one.routes)
    add_network(router, parts)
    add_faults(router, parts)
    return router


def _add_list(router: APIRouter, parts: Parts) -> None:
    tags: list[str | Enum] = ["simulator: phones"]

    @router.get("/phones", tags=tags, summary="All simulated phones")
    async def list_phones() -> Phones:
        counts = await parts.phones.count_groups()
        listed = [_phone(parts, phone, counts.get(phone.number, 0)) for phone in parts.phones]
        return Phones(phones=listed)


def _add_phones(router: APIRouter, parts: Parts) -> None:
    tags: list[str | Enum] = ["simulator: phones"]

    @router.post("/phones", tags=tags, status_code=201, summary="Make a phone")
    async def add_phone(body: NewPhone) -> Phone:
        """With its groups: a list, or a count from 1 to 5,000 to make up."""
        phone = await parts.phones.add(body)
        counts = await parts.phones.count_groups()
        return _phone(parts, phone, counts.get(phone.number, 0))

    @router.get("/phones/{number}", tags=tags, summary="One phone")
    async def get_phone(number: PhoneNumber) -> Phone:
        phone = parts.phones.get(number)
        counts = await parts.phones.count_groups()
        return _phone(parts, phone, counts.get(number, 0))

    @router.delete("/phones/{number}", tags=tags, summary="Remove a phone")
    async def remove_phone(number: PhoneNumber) -> Success:
        """Its sessions are logged out."""
        await parts.people.remove_phone(number)
        return Success()

    @router.put("/phones/{number}/restriction", tags=tags, summary="Restrict or ban a number")
    async def restrict(number: PhoneNumber, body: NewRestriction) -> Success:
        """Told by `/status`; sends answer 429 while restricted and 400 while banned.

        It ends by itself at `until`.
        """
        until = None if body.until is None else body.until.isoformat()
        restriction = Restriction(kind=body.kind, until=until, detail=body.detail)
        await parts.people.restrict(number, restriction)
        return Success()

    @router.delete("/phones/{number}/restriction", tags=tags, summary="Lift a restriction")
    async def lift_restriction(number: PhoneNumber) -> Success:
        await parts.people.restrict(number, None)
        return Success()


def _add_linking(router: APIRouter, parts: Parts) -> None:
    tags: list[str | Enum] = ["simulator: linked devices"]
    people = parts.people

    @router.post("/phones/{number}/scan", tags=tags, summary="Scan a session's QR code")
    async def scan(number: PhoneNumber, body: Scan) -> Linked:
        """A phone carries up to four sessions. A fifth, or a code that is not shown, is 409."""
        return _linked(await people.scan(number, body.session_id, body.qr), number)

    @router.post("/phones/{number}/pairing-code", tags=tags, summary="Type a pairing code")
    async def enter_code(number: PhoneNumber, body: CodeEntry) -> Linked:
        return _linked(await people.enter_code(number, body.code), number)

    @router.post("/phones/{number}/unlink", tags=tags, summary="Remove linked devices")
    async def unlink(number: PhoneNumber, body: SessionChoice | None = None) -> Changed:
        """The pairing is gone; the session is disconnected with the reason `logged_out`."""
        chosen = people.sessions_of(number, None if body is None else body.session_id)
        for session in chosen:
            await people.unlink(session)
        return _changed(chosen)

    @router.post("/phones/{number}/drop", tags=tags, summary="Cut the connection")
    async def drop(number: PhoneNumber, body: SessionChoice | None = None) -> Changed:
        """The pairing stands; `/connect` or `restore` brings the session back."""
        chosen = people.sessions_of(number, None if body is None else body.session_id)
        for session in chosen:
            await people.drop(session)
        return _changed(chosen)

    @router.post("/phones/{number}/restore", tags=tags, summary="Let the connection come back")
    async def restore(number: PhoneNumber, body: SessionChoice | None = None) -> Changed:
        chosen = [
            session
            for session in people.sessions_of(number, None if body is None else body.session_id)
            if session.connection_lost
        ]
        for session in chosen:
            await people.restore(session)
        return _changed(chosen)


def _add_groups(router: APIRouter, parts: Parts) -> None:
    tags: list[str | Enum] = ["simulator: groups"]
    people = parts.people

    @router.get("/phones/{number}/groups", tags=tags, summary="The groups of a phone")
    async def list_groups(number: PhoneNumber) -> SimGroups:
        views = await people.groups(number)
        return SimGroups(
            groups=[
                SimGroup(
                    id=view.jid,
                    name=view.name,
                    participants=view.size,
                    is_admin=view.is_admin,
                    announce_only=view.announce_only,
                    is_community=view.is_community,
                    is_community_announce=view.is_community_announce,
                )
                for view in views
            ]
        )

    @router.post("/phones/{number}/groups", tags=tags, status_code=201, summary="Join groups")
    async def join(number: PhoneNumber, body: GroupsWanted) -> Joined:
        """New ones by count or by list, existing ones by their `id`."""
        return Joined(joined=await people.join(number, body))

    @router.delete("/phones/{number}/groups/{jid}", tags=tags, summary="Leave a group")
    async def leave(number: PhoneNumber, jid: str) -> Success:
        await people.leave(number, jid)
        return Success()

    @router.put("/phones/{number}/groups/{jid}", tags=tags, summary="Make or unmake an admin")
    async def set_admin(number: PhoneNumber, jid: str, body: AdminChange) -> Success:
        await people.set_admin(number, jid, body.is_admin)
        return Success()

    @router.patch("/groups/{jid}", tags=tags, summary="Rename or change a group")
    async def change_group(jid: str, body: GroupChange) -> Success:
        await people.change_group(jid, body)
        return Success()


def _phone(parts: Parts, phone: PhoneRecord, groups: int) -> Phone:
    sessions = parts.sessions.of_phone(phone.number)
    return Phone(
        number=f"+{phone.number}",
        name=phone.name,
        groups=groups,
        sessions=[
            PhoneSession(session_id=session.session_id, status=session.status)
            for session in sessions
        ],
        restriction=parts.phones.restriction_of(phone.number),
        receipts=phone.receipts,
    )


def _linked(session: Session, number: str) -> Linked:
    return Linked(session_id=session.session_id, phone_number=f"+{number}")


def _changed(sessions: list[Session]) -> Changed:
    return Changed(sessions=[session.session_id for session in sessions])
