import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from tests.contract.scripted import ScriptedGateway

from groupline.gateways.drivers.base import AuthScheme, Endpoint, HttpPool, Limit, Limits
from groupline.gateways.drivers.groupline import GrouplineDriver
from groupline.gateways.port import Capabilities, Capability

KEY = "a-secret-key"
NATIVE = Capabilities(
    frozenset({Capability.CLIENT_REF, Capability.PAIRING_CODE, Capability.SIMULATOR})
)
IMPATIENT = Limits(
    connect_seconds=0.3,
    **dict.fromkeys(
        ("probe", "connect", "status", "disconnect", "participants", "invite", "send", "lookup"),
        Limit(0.5, 64 * 1024),
    ),
    groups=Limit(2.0, 256 * 1024),
)


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
def make_driver(pool: HttpPool, gateway: ScriptedGateway) -> MakeDriver:
    def make(
        *,
        url: str | None = None,
        key: str = KEY,
        auth: AuthScheme = AuthScheme.API_KEY,
        capabilities: Capabilities = NATIVE,
        http: HttpPool = pool,
    ) -> GrouplineDriver:
        endpoint = Endpoint(url or gateway.url, key, auth)
        return GrouplineDriver(http, endpoint, capabilities, IMPATIENT)

    return make


@pytest.fixture
def driver(make_driver: MakeDriver) -> GrouplineDriver:
    return make_driver()
