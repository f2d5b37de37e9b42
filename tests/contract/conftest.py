import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from tests.contract.scripted import ScriptedGateway, silence

from groupline.gateways.drivers.base import AuthScheme, Endpoint, HttpPool, Limit, Limits
from groupline.gateways.drivers.groupline import GrouplineDriver
from groupline.gateways.port import Capabilities, Capability

KEY = "a-secret-key"
NATIVE = Capabilities(
    frozenset({Capability.CLIENT_REF, Capability.PAIRING_CODE, Capability.SIMULATOR})
)


def limits_of(seconds: float) -> Limits:
    calls = ("probe", "connect", "status", "disconnect", "participants", "invite", "send", "lookup")
    return Limits(
        connect_seconds=seconds,
        **dict.fromkeys(calls, Limit(seconds, 64 * 1024)),
        groups=Limit(seconds, 256 * 1024),
    )


PATIENT = limits_of(60)
IMPATIENT = limits_of(1.5)


NewLoop = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, NewLoop]:
    """Groupline runs on uvloop, or without it on asyncio; the two do not raise the same
    exceptions, so what a send claims is tested on both."""
    loops: dict[str, NewLoop] = {"uvloop": uvloop.new_event_loop}
    if "test_driver_sends" in item.nodeid:
        loops["asyncio"] = asyncio.new_event_loop
    return loops


MakeDriver = Callable[..., GrouplineDriver]


@pytest.fixture
async def pool() -> AsyncIterator[HttpPool]:
    async with HttpPool() as pool:
        yield pool


@pytest.fixture
async def gateway() -> AsyncIterator[ScriptedGateway]:
    async with ScriptedGateway() as gateway:
        yield gateway


@pytest.fixture
def limits(request: pytest.FixtureRequest) -> Limits:
    """Who meets silence gives up soon; everybody else waits as long as a busy machine takes."""
    case = getattr(request.node, "callspec", None)
    return IMPATIENT if case is not None and silence in case.params.values() else PATIENT


@pytest.fixture
def make_driver(pool: HttpPool, gateway: ScriptedGateway, limits: Limits) -> MakeDriver:
    def make(
        *,
        url: str | None = None,
        key: str = KEY,
        auth: AuthScheme = AuthScheme.API_KEY,
        capabilities: Capabilities = NATIVE,
        http: HttpPool = pool,
        limits: Limits = limits,
    ) -> GrouplineDriver:
        endpoint = Endpoint(url or gateway.url, key, auth)
        return GrouplineDriver(http, endpoint, capabilities, limits)

    return make


@pytest.fixture
def driver(make_driver: MakeDriver) -> GrouplineDriver:
    return make_driver()
