"""Which addresses Groupline calls because somebody asked it to. Of its own, only public ones.

An address that a person types in is called from inside the network that Groupline runs in, where
there are machines that trust their neighbours. A name is judged by what it resolves to at the
moment of the call, and the connection goes to exactly that.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver, ResolveResult

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Allows: TypeAlias = Callable[[IPAddress], bool]

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""Of IPv6, nothing else is public. What is reserved for a use that is not public lies in it too."""
_PRIVATE: Final = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    )
)
_METADATA: Final = frozenset({ipaddress.ip_address("fd00:ec2::254")})
"""What clouds tell their machines is found here, and at 169.254.169.254, which is link-local."""


class ForbiddenAddress(Exception):
    """No error of the network: a client that handles those must not handle this."""


def is_public(address: IPAddress) -> bool:
    """Belongs to the public network, also inside a wrapping of IPv6."""
    inner = _inner(address)
    if isinstance(inner, ipaddress.IPv6Address) and inner not in _GLOBAL_UNICAST:
        return False
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


def is_public_or_private(address: IPAddress) -> bool:
    """Also this machine and its own network, though never what a cloud keeps for its machines."""
    inner = _inner(address)
    if inner.is_link_local or inner in _METADATA:
        return False
    return is_public(inner) or inner.is_loopback or any(inner in each for each in _PRIVATE)


def literal_address(host: str) -> IPAddress | None:
    """The address that a host is by itself; None for a name. No resolver is asked about it."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def check_addresses(addresses: Iterable[str], allows: Allows) -> None:
    """One private address among public ones is how a name gets past a check: all must be fit."""
    for each in addresses:
        address = literal_address(each)
        if address is None or not allows(address):
            raise ForbiddenAddress(each)


def check_host(host: str, allows: Allows) -> None:
    """Resolves it, here and now. It blocks: for threads. An unknown name is an ``OSError``."""
    if literal_address(host) is not None:
        check_addresses([host], allows)
        return
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    check_addresses((str(each[4][0]) for each in found), allows)


class CheckedResolver(AbstractResolver):
    """For the connector of a client. Whoever calls must check literal addresses beforehand."""

    def __init__(self, allows: Allows) -> None:
        self._allows = allows
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        check_addresses((each["host"] for each in found), self._allows)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _inner(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
