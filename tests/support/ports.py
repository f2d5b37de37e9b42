"""Ports that no other test process is given."""

import contextlib
import os
import socket
from typing import Final

_FIRST_PORT: Final = 20_000
_PORTS: Final = 10_000  # below those that the system gives to outgoing connections
_reservations: list[socket.socket] = []


def free_port() -> int:
    """A port of one's own: a UDP socket on its number is the claim."""
    return _first_of_free_ports(1)


def first_of_two_free_ports() -> int:
    """The built-in gateways listen side by side."""
    return _first_of_free_ports(2)


def _first_of_free_ports(count: int) -> int:
    start = os.getpid() * 61
    for offset in range(_PORTS):
        port = _FIRST_PORT + (start + offset) % _PORTS
        with contextlib.suppress(OSError):
            _reservations.extend([_claim(port + beside) for beside in range(count)])
            return port
    raise AssertionError("there is no free port")


def _claim(port: int) -> socket.socket:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    with contextlib.ExitStack() as stack:
        claim = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        claim.bind(("127.0.0.1", port))
        stack.pop_all()
    return claim
