"""The gateways of the installation: register, change, remove, probe, and speak to them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import exists, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce, is_among
from groupline.errors import Conflict, GrouplineError, InvalidInput, NotFound
from groupline.gateways.drivers.base import AuthScheme, normalise_base_url, normalise_key
from groupline.gateways.outcomes import FailureKind
from groupline.gateways.port import Capabilities, Capability, GatewayDriver, Probe
from groupline.gateways.registry import DriverRegistry, GatewayFacts, check_kind
from groupline.gateways.webhook_secrets import put_new_secret, write_webhook_secrets
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import Gateway, InboundEvent, ScheduledWhatsappMessage, WhatsappSession
from groupline.text import clean_line
from groupline.vault import Vault

logger = structlog.get_logger()

MAX_IN_FLIGHT = 50
_MAX_NAME = 80
_SECRET_FROM, _SECRET_TO = 16, 512
_BETWEEN_LOOKS = timedelta(seconds=90)
"""A gateway is looked at once a minute, and more often while it is away."""
_MOST_IN_FLIGHT = 100  # as many connections as the pool keeps for one gateway


@dataclass(frozen=True, slots=True)
class GatewayInput:
    """What a person says of a gateway. ``None`` in a change leaves a value as it is."""

    name: str | None = None
    kind: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    auth: AuthScheme | None = None
    webhook_secret: str | None = None
    max_in_flight: int | None = None
    enabled: bool | None = None


class Gateways:
    """Drivers for the rows of the ``gateways`` table, on the one HTTP pool of the process."""

    def __init__(self, registry: DriverRegistry, vault: Vault) -> None:
        self._registry = registry
        self._vault = vault
        self._built: dict[UUID, tuple[tuple[object, ...], GatewayDriver]] = {}

    def driver(self, gateway: Gateway) -> GatewayDriver:
        """The driver for the row as it is now; built anew when what it depends on has changed."""
        facts = (gateway.base_url, gateway.credentials, tuple(gateway.capabilities))
        known = self._built.get(gateway.id)
        if known is not None and known[0] == facts:
            return known[1]
        driver = self._registry.build(self._facts(gateway))
        self._built[gateway.id] = (facts, driver)
        return driver

    async def probe(self, gateway: Gateway) -> Probe:
        """A look at the gateway itself. One that cannot even be addressed is one that fails."""
        try:
            driver = self.driver(gateway)
        except GrouplineError as error:
            return Probe(
                reachable=False,
                authenticated=None,
                latency_ms=None,
                error=error.detail,
                failure=FailureKind.AUTH,
            )
        return await driver.probe()

    def _facts(self, gateway: Gateway) -> GatewayFacts:
        credentials = json.loads(self._vault.decrypt(gateway.credentials))
        return GatewayFacts(
            kind=gateway.kind,
            base_url=gateway.base_url,
            api_key=credentials["key"],
            auth=AuthScheme(credentials["scheme"]),
            capabilities=Capabilities.parse(gateway.capabilities),
        )


# Secrets at rest


def write_credentials(vault: Vault, key: str, scheme: AuthScheme) -> str:
    return vault.encrypt(json.dumps({"scheme": scheme.value, "key": key}))


def read_credentials(vault: Vault, gateway: Gateway) -> tuple[str, AuthScheme]:
    credentials = json.loads(vault.decrypt(gateway.credentials))
    return credentials["key"], AuthScheme(credentials["scheme"])


# Use cases


async def list_gateways(session: AsyncSession) -> Sequence[Gateway]:
    return (await session.scalars(select(Gateway).order_by(Gateway.name))).all()


async def connected_sessions(session: AsyncSession) -> dict[UUID, int]:
    """Per gateway, over all organizations: how many of its sessions are connected."""
    counts = await session.execute(
        select(WhatsappSession.gateway_id, func.count().label("sessions"))
        .where(WhatsappSession.status == "connected")
        .group_by(WhatsappSession.gateway_id)
    )
    return {row.gateway_id: row.sessions for row in counts}


async def get_gateway(session: AsyncSession, gateway_id: UUID) -> Gateway:
    gateway = await session.get(Gateway, gateway_id)
    if gateway is None:
        raise NotFound("There is no such gateway.")
    return gateway


async def default_gateway(session: AsyncSession) -> Gateway:
    """The gateway that a new session uses when nobody chose one: real phones come first."""
    usable = select(Gateway).where(Gateway.enabled.is_(True)).order_by(Gateway.created_at)
    gateways = (await session.scalars(usable)).all()
    if not gateways:
        raise Conflict(
            "No gateway is registered.",
            hint="An administrator of this installation adds one under Settings → Gateways.",
        )
    return min(gateways, key=lambda gateway: gateway.engine == "simulator")


async def register_gateway(
    session: AsyncSession, vault: Vault, wanted: GatewayInput, *, actor: Actor, now: datetime
) -> Gateway:
    """Adds a gateway. Bad input is refused with the name of its field."""
    gateway = Gateway(
        id=new_id(),
        name=_clean_name(wanted.name or ""),
        kind=check_kind(wanted.kind or "groupline"),
        base_url=normalise_base_url(wanted.base_url or ""),
        credentials=write_credentials(
            vault, normalise_key(wanted.api_key or ""), wanted.auth or AuthScheme.API_KEY
        ),
        webhook_secrets=_first_secret(vault, wanted.webhook_secret),
        max_in_flight=_check_max_in_flight(wanted.max_in_flight or MAX_IN_FLIGHT),
        enabled=wanted.enabled is not False,
        created_at=now,
    )
    session.add(gateway)
    await _flush_name(session)
    await _record(session, "gateway.added", gateway, actor, now)
    return gateway


async def change_gateway(
    session: AsyncSession,
    vault: Vault,
    gateway_id: UUID,
    wanted: GatewayInput,
    *,
    actor: Actor,
    now: datetime,
) -> Gateway:
    """Changes what is given. A new webhook secret leaves the one before it valid for a week."""
    gateway = await get_gateway(session, gateway_id)
    if wanted.kind is not None and wanted.kind != gateway.kind:
        raise InvalidInput(
            "A gateway keeps its kind; add another one instead.", fields={"kind": "cannot change"}
        )
    if wanted.name is not None:
        gateway.name = _clean_name(wanted.name)
    if wanted.base_url is not None:
        gateway.base_url = normalise_base_url(wanted.base_url)
    if wanted.max_in_flight is not None:
        gateway.max_in_flight = _check_max_in_flight(wanted.max_in_flight)
    if wanted.enabled is not None:
        gateway.enabled = wanted.enabled
    _change_secrets(vault, gateway, wanted, now)
    await _flush_name(session)
    await _record(session, "gateway.changed", gateway, actor, now)
    return gateway


async def remove_gateway(
    session: AsyncSession, gateway_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Removes a gateway that no session was ever paired with; one with a history is disabled."""
    gateway = await get_gateway(session, gateway_id)
    used = select(
        exists().where(WhatsappSession.gateway_id == gateway_id)
        | exists().where(InboundEvent.gateway_id == gateway_id)
    )
    if gateway.managed_engine is not None or (await session.execute(used)).scalar_one():
        raise Conflict(
            "This gateway is built in, or has sessions in the history, and cannot be removed.",
            hint="Disable it instead: nothing new is connected through it.",
            state="in_use",
        )
    await _record(session, "gateway.removed", gateway, actor, now)
    await session.delete(gateway)
    await session.flush()


async def note_probe(session: AsyncSession, gateway_id: UUID, probe: Probe, now: datetime) -> None:
    """Stores what a probe found out."""
    if probe.failure is not None:
        await note_failure(session, gateway_id, code=probe.failure, detail=error_of(probe), now=now)
        return
    gateway = await get_gateway(session, gateway_id)
    capabilities = probe.capabilities.as_json()
    if Capability.CLIENT_REF.value in set(gateway.capabilities) - set(capabilities):
        # Before the gateway's own row is written, which comes last wherever both are.
        await _doubt_references(session, gateway_id, now)
    gateway.version, gateway.engine = probe.version, probe.engine
    if gateway.capabilities != capabilities:
        gateway.capabilities = capabilities
        await announce(session, "gateways", organization_id=None, subject_id=gateway_id)
    await session.flush()
    await note_success(session, gateway_id, now)


async def _doubt_references(session: AsyncSession, gateway_id: UUID, now: datetime) -> None:
    """The gateway has lost its memory of our references some time after it was last looked at. What
    it was sent since then may have reached it without one: what it says of that is no answer."""
    message = ScheduledWhatsappMessage
    asked = await session.scalars(
        select(message.id)
        .where(
            message.gateway_id == gateway_id,
            message.status.in_(("sending", "accepted", "uncertain")),
            message.request_started_at > now - _BETWEEN_LOOKS,
        )
        .order_by(message.id)  # as everybody locks messages: who differs, and they, wait for ever
        .with_for_update()
    )
    doubted = is_among(session, message.id, asked)
    await session.execute(
        update(message).where(doubted).values(carried_ref=False),
        execution_options={"synchronize_session": False},
    )


def error_of(probe: Probe) -> str:
    return probe.error or "The gateway failed."


async def note_success(session: AsyncSession, gateway_id: UUID, now: datetime) -> None:
    """The gateway answered as it should."""
    recovered = await session.execute(
        update(Gateway)
        .where(Gateway.id == gateway_id, Gateway.unreachable_since.is_not(None))
        .values(unreachable_since=None, last_error=None, last_error_code=None, last_seen_at=now)
    )
    if recovered.rowcount:  # type: ignore[attr-defined]  # an UPDATE answers with a count
        logger.info("gateway.reachable", gateway=str(gateway_id))
        await announce(session, "gateways", organization_id=None, subject_id=gateway_id)
        return
    await session.execute(update(Gateway).where(Gateway.id == gateway_id).values(last_seen_at=now))


async def note_failure(
    session: AsyncSession, gateway_id: UUID, *, code: str, detail: str, now: datetime
) -> None:
    """The gateway could not be asked. This says nothing about any session (rule 4)."""
    gateway = await get_gateway(session, gateway_id)
    is_news = gateway.unreachable_since is None or gateway.last_error_code != code
    gateway.unreachable_since = gateway.unreachable_since or now
    gateway.last_error, gateway.last_error_code = detail, code
    await session.flush()
    if is_news:
        if gateway.last_seen_at is not None:  # one that is only just starting is no news
            logger.warning("gateway.unreachable", gateway=str(gateway_id), code=code)
        await announce(session, "gateways", organization_id=None, subject_id=gateway_id)


def _change_secrets(vault: Vault, gateway: Gateway, wanted: GatewayInput, now: datetime) -> None:
    if wanted.api_key is not None or wanted.auth is not None:
        key, scheme = read_credentials(vault, gateway)
        new_key = key if wanted.api_key is None else normalise_key(wanted.api_key)
        gateway.credentials = write_credentials(vault, new_key, wanted.auth or scheme)
    if wanted.webhook_secret is not None:
        put_new_secret(vault, gateway, _check_secret(wanted.webhook_secret), now)


def _first_secret(vault: Vault, secret: str | None) -> str | None:
    return None if secret is None else write_webhook_secrets(vault, [_check_secret(secret)])


def _check_secret(secret: str) -> str:
    cleaned = secret.strip()
    if not _SECRET_FROM <= len(cleaned) <= _SECRET_TO:
        limits = f"between {_SECRET_FROM} and {_SECRET_TO} characters"
        raise InvalidInput(
            f"The webhook secret has {len(cleaned):,} characters; it needs {limits}.",
            fields={"webhookSecret": limits},
        )
    if not (cleaned.isascii() and cleaned.isprintable()):
        raise InvalidInput(
            "The webhook secret travels in a header: ASCII letters, digits and signs only, and"
            f" between {_SECRET_FROM} and {_SECRET_TO} of them.",
            fields={"webhookSecret": "ASCII letters, digits and signs only"},
        )
    return cleaned


def _clean_name(name: str) -> str:
    return clean_line(name, field="name", what="name", most=_MAX_NAME)


def _check_max_in_flight(value: int) -> int:
    if not 1 <= value <= _MOST_IN_FLIGHT:
        raise InvalidInput(
            f"The limit of requests in flight is between 1 and {_MOST_IN_FLIGHT}, not {value:,}.",
            fields={"maxInFlight": f"between 1 and {_MOST_IN_FLIGHT}"},
        )
    return value


async def _flush_name(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict("There is already a gateway of that name.", state="name_taken") from error


async def _record(
    session: AsyncSession, action: str, gateway: Gateway, actor: Actor, now: datetime
) -> None:
    await journal.record(
        session,
        action=action,
        actor=actor,
        organization_id=None,
        subject="gateway",
        subject_id=gateway.id,
        data={"name": gateway.name, "kind": gateway.kind, "baseUrl": gateway.base_url},
        at=now,
    )
    await announce(session, "gateways", organization_id=None, subject_id=gateway.id)
