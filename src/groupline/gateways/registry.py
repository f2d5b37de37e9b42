"""Which driver speaks to which kind of gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from groupline.errors import InvalidInput
from groupline.gateways.drivers.base import AuthScheme, Endpoint, HttpPool, Limits
from groupline.gateways.drivers.groupline import GrouplineDriver
from groupline.gateways.port import Capabilities, GatewayDriver


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """What a driver has to know about a gateway."""

    kind: str
    base_url: str
    api_key: str = field(repr=False)
    auth: AuthScheme = AuthScheme.API_KEY
    capabilities: Capabilities = field(default_factory=Capabilities)


_Build = Callable[[HttpPool, Endpoint, Capabilities, Limits], GatewayDriver]
_DRIVERS: dict[str, _Build] = {"groupline": GrouplineDriver}


def check_kind(kind: str) -> str:
    """The kind, if this build has a driver for it. Raises `InvalidInput`."""
    if kind not in _DRIVERS:
        known = ", ".join(sorted(_DRIVERS))
        raise InvalidInput(
            f"This build has no driver for gateways of the kind “{kind[:40]}”.",
            fields={"kind": f"must be one of: {known}"},
        )
    return kind


class DriverRegistry:
    """Builds drivers on the one HTTP pool of the process."""

    def __init__(self, pool: HttpPool, limits: Limits | None = None) -> None:
        self._pool = pool
        self._limits = limits or Limits()

    def build(self, facts: GatewayFacts) -> GatewayDriver:
        """A driver costs nothing to build and holds nothing open. Raises `InvalidInput`."""
        build = _DRIVERS[check_kind(facts.kind)]
        endpoint = Endpoint(facts.base_url, facts.api_key, facts.auth)
        return build(self._pool, endpoint, facts.capabilities, self._limits)
