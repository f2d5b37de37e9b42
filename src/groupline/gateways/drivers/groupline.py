"""The driver for the Groupline contract: the owner's gateway, and Groupline's own.

What only Groupline's own gateway offers is used where the gateway lists the capability.
"""

from __future__ import annotations

from collections.abc import Callable

from groupline.errors import GatewayMalformed, InvalidInput
from groupline.gateways.drivers import groupline_groups as groups_wire
from groupline.gateways.drivers import groupline_messages as messages_wire
from groupline.gateways.drivers import groupline_session as session_wire
from groupline.gateways.drivers.base import Answer, Endpoint, GatewayHttp, HttpPool, Limits
from groupline.gateways.drivers.failures import CallFailed, send_outcome
from groupline.gateways.drivers.groupline_errors import no_reading, require_success, said_by
from groupline.gateways.drivers.parsing import NO_JSON, JsonObject, as_object
from groupline.gateways.outcomes import (
    FailureKind,
    LookupAnswer,
    LookupUnknown,
    Reading,
    ReadingFailed,
    SendOutcome,
    SessionUnknown,
)
from groupline.gateways.port import (
    Capabilities,
    Capability,
    GroupListing,
    HeldSessions,
    Invite,
    Pairing,
    ParticipantListing,
    Probe,
    Proxy,
    SimulatedPhone,
)

# A session that nobody has. Asking for it changes nothing and shows whether our key is taken.
_NOBODYS_SESSION = "wa_00000000-0000-0000-0000-000000000000"


class GrouplineDriver:
    """Implements `GatewayDriver`, `ListsSessions` and `SimulatedPhones`."""

    def __init__(
        self,
        pool: HttpPool,
        endpoint: Endpoint,
        capabilities: Capabilities,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._http = GatewayHttp(pool, endpoint, self._limits)
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    # --- the gateway itself

    async def probe(self) -> Probe:
        answer = await self._http.call("GET", ("health",), self._limits.probe)
        failed = no_reading(answer, self._http.secrets)
        if isinstance(answer, CallFailed) or failed is not None:
            return _unhealthy(failed)
        version, engine, capabilities = session_wire.health(as_object(answer.json) or {})
        # The route may be open to everybody, so a healthy answer says nothing about our key.
        reading = await self.status(_NOBODYS_SESSION)
        trouble = reading if isinstance(reading, ReadingFailed) else None
        return Probe(
            reachable=True,
            authenticated=_authenticated(trouble),
            latency_ms=round(answer.seconds * 1000, 1),
            version=version,
            engine=engine,
            capabilities=capabilities,
            error=trouble.detail if trouble else None,
            failure=trouble.kind if trouble else None,
        )

    # --- sessions

    async def connect(
        self,
        session_id: str,
        *,
        proxy: Proxy | None = None,
        expected_phone: str | None = None,
        pairing_code: bool = False,
    ) -> Pairing:
        body: dict[str, object] = {"sessionId": session_id}
        if proxy is not None:
            body["proxy"] = _proxy(proxy)
        if Capability.PAIRING_CODE in self._capabilities and expected_phone is not None:
            body["phone"] = expected_phone
            if pairing_code:
                body["pairingCode"] = True
        answer = await self._http.call("POST", ("connect",), self._limits.connect, body=body)
        document = self._object(answer, may_be_empty=True)
        return session_wire.pairing(document)

    async def status(self, session_id: str) -> Reading:
        answer = await self._http.call("GET", ("status", session_id), self._limits.status)
        failed = no_reading(answer, self._http.secrets)
        if isinstance(answer, CallFailed) or failed is not None:
            return failed or _unreadable(None)
        document = as_object(answer.json)
        reading = session_wire.reading(document) if document is not None else None
        return reading or _unreadable(answer.status)

    async def disconnect(self, session_id: str) -> None:
        answer = await self._http.call(
            "POST", ("disconnect", session_id), self._limits.disconnect, body={}
        )
        if isinstance(no_reading(answer, self._http.secrets), SessionUnknown):
            return  # already gone
        self._object(answer, may_be_empty=True)

    async def sessions(self) -> HeldSessions:
        answer = await self._http.call("GET", ("sessions",), self._limits.participants)
        whole = require_success(answer, self._http.secrets)
        held = session_wire.held_sessions(whole.json)
        if held is None:
            raise _malformed(whole, "no list of sessions")
        return held

    # --- groups

    async def groups(
        self,
        session_id: str,
        *,
        include_invite_links: bool = False,
        own_phone: str | None = None,
    ) -> GroupListing:
        query = "includeInviteLinks=true" if include_invite_links else ""
        answer = await self._http.call(
            "GET", ("groups", session_id), self._limits.groups, query=query
        )
        whole = require_success(answer, self._http.secrets)
        listing = groups_wire.group_listing(
            whole.json, max_groups=self._capabilities.max_groups, own_phone=own_phone
        )
        if listing is None:
            raise _malformed(whole, "no list of groups")
        return listing

    async def invite(self, session_id: str, jid: str) -> Invite:
        path = ("groups", session_id, _group_jid(jid), "invite")
        answer = await self._http.call("GET", path, self._limits.invite)
        whole = require_success(answer, self._http.secrets, forbidden_is_auth=False)
        invite = groups_wire.invite(as_object(whole.json) or {})
        if invite is None:
            raise _malformed(whole, "no invite link")
        return invite

    async def participants(self, session_id: str, jid: str) -> ParticipantListing:
        path = ("groups", session_id, _group_jid(jid), "participants")
        answer = await self._http.call("GET", path, self._limits.participants)
        whole = require_success(answer, self._http.secrets, forbidden_is_auth=False)
        listing = groups_wire.participant_listing(whole.json)
        if listing is None:
            raise _malformed(whole, "no list of participants")
        return listing

    # --- messages

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
        body: dict[str, object] = {"sessionId": session_id, "phone": jid, "message": message}
        if media_url is not None:
            body["mediaUrl"] = media_url
            body["mediaType"] = media_type
        if client_ref is not None and Capability.CLIENT_REF in self._capabilities:
            body["clientRef"] = client_ref
        answer = await self._http.call(
            "POST", ("send",), self._limits.send, body=body, before_write=before_write
        )
        if isinstance(answer, CallFailed):
            return send_outcome(answer)
        return messages_wire.send_outcome(
            messages_wire.SendAnswer(
                status=answer.status,
                json=answer.json,
                say=lambda: said_by(answer),
                secrets=(*self._http.secrets, message),
                retry_after=answer.retry_after,
            )
        )

    async def message_status(
        self, session_id: str, *, client_ref: str | None = None, group_jid: str | None = None
    ) -> LookupAnswer:
        exact = client_ref is not None and Capability.CLIENT_REF in self._capabilities
        if not exact and group_jid is None:
            return LookupUnknown(detail="The gateway cannot look messages up by their reference.")
        asked = {"clientRef": client_ref} if exact else {"groupJid": group_jid}
        answer = await self._http.call(
            "POST",
            ("message-status",),
            self._limits.lookup,
            body={"sessionId": session_id, **asked},
        )
        failed = no_reading(answer, self._http.secrets)
        if isinstance(answer, CallFailed) or failed is not None:
            return _no_lookup(failed)
        return messages_wire.lookup_answer(answer.json, exact=exact)

    # --- simulated phones

    async def list_phones(self) -> list[SimulatedPhone]:
        answer = await self._http.call("GET", ("sim", "phones"), self._limits.participants)
        whole = require_success(answer, self._http.secrets)
        phones = session_wire.simulated_phones(whole.json)
        if phones is None:
            raise _malformed(whole, "no list of phones")
        return phones

    async def scan(self, number: str, session_id: str) -> None:
        answer = await self._http.call(
            "POST",
            ("sim", "phones", number, "scan"),
            self._limits.connect,
            body={"sessionId": session_id},
        )
        self._object(answer, may_be_empty=True)

    async def aclose(self) -> None:
        """Nothing of its own is open; the pool outlives the drivers."""

    def _object(self, answer: Answer | CallFailed, *, may_be_empty: bool) -> JsonObject:
        whole = require_success(answer, self._http.secrets)
        if may_be_empty and not whole.body.strip():
            return {}
        document = as_object(whole.json)
        if document is None:
            raise _malformed(whole, "no JSON object")
        return document


def _unhealthy(failed: ReadingFailed | SessionUnknown | None) -> Probe:
    if not isinstance(failed, ReadingFailed):
        failed = ReadingFailed(FailureKind.ROUTE_MISSING, "The gateway has no /health.", 404)
    away = {FailureKind.UNREACHABLE, FailureKind.SERVER_ERROR}
    return Probe(
        reachable=failed.kind not in away,
        authenticated=_authenticated(failed),
        latency_ms=None,
        error=failed.detail,
        failure=failed.kind,
    )


def _authenticated(trouble: ReadingFailed | None) -> bool | None:
    if trouble is None:
        return True
    return False if trouble.kind is FailureKind.AUTH else None


def _unreadable(status: int | None) -> ReadingFailed:
    detail = "The gateway's answer names no status that can be read."
    return ReadingFailed(FailureKind.MALFORMED, detail, status)


def _no_lookup(failed: ReadingFailed | SessionUnknown | None) -> LookupUnknown:
    if isinstance(failed, ReadingFailed):
        return LookupUnknown(detail=failed.detail, failure=failed.kind)
    return LookupUnknown(detail="The gateway does not know the session of this message.")


def _malformed(answer: Answer, missing: str) -> GatewayMalformed:
    shape = "no JSON" if answer.json is NO_JSON else missing
    return GatewayMalformed(f"The gateway sent {shape}.", upstream_status=answer.status)


def _proxy(proxy: Proxy) -> dict[str, object]:
    facts = {"username": proxy.username, "password": proxy.password}
    said = {name: value for name, value in facts.items() if value is not None}
    return {"host": proxy.host, "port": proxy.port, **said}


def _group_jid(jid: str) -> str:
    if not groups_wire.is_group_jid(jid):
        raise InvalidInput("This is not the id of a group.", fields={"jid": "must end in @g.us"})
    return jid
