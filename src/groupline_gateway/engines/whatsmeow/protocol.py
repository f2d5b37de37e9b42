"""What a worker and the gateway say to each other: frames of JSON on a socket pair.

A frame is four bytes of length and a JSON object. Not the standard output: the library's Go part
prints there. Requests have an ``id`` and an ``op``, answers the same ``id`` and an ``ok`` or an
``error``, and what happens by itself has an ``event``.
"""

import json
import socket
import struct
import threading
from enum import StrEnum
from typing import Any, TypeAlias

Frame: TypeAlias = dict[str, Any]

MAX_FRAME = 64 * 1024 * 1024
_LENGTH = struct.Struct(">I")
HEADER = _LENGTH.size


class Op(StrEnum):
    START = "start"
    PING = "ping"
    PAIR_PHONE = "pair_phone"
    SEND = "send"
    GROUPS = "groups"
    PARTICIPANTS = "participants"
    INVITE = "invite"
    LOGOUT = "logout"
    STOP = "stop"


class Happening(StrEnum):
    """The ``event`` of a frame."""

    READY = "ready"
    """The library is loaded."""
    UNUSABLE = "unusable"
    """The library cannot be loaded on this machine; ``text`` says why."""
    CONNECT_FAILED = "connect_failed"
    QR = "qr"
    PAIRING_CODE = "pairing_code"
    PAIRING_CODE_FAILED = "pairing_code_failed"
    LOGIN = "login"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    KEEP_ALIVE_TIMEOUT = "keep_alive_timeout"
    LOGGED_OUT = "logged_out"
    REPLACED = "replaced"
    BANNED = "banned"
    OUTDATED = "outdated"
    REFUSED = "refused"
    RECEIPT = "receipt"
    MEMBERSHIP = "membership"
    UNTRACEABLE = "untraceable"
    """The library could not store the secret of the message that it sends now."""
    LOG = "log"
    ENDED = "ended"
    """The client call came back: this process is of no more use."""


class BadFrame(Exception):
    """The other side does not speak this protocol."""


def encode(frame: Frame) -> bytes:
    body = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME:
        raise BadFrame(f"a frame of {len(body)} bytes")
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Frame:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise BadFrame("a frame that is no JSON") from error
    if not isinstance(value, dict):
        raise BadFrame("a frame that is no object")
    return value


def frame_length(header: bytes) -> int:
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME:
        raise BadFrame(f"a frame of {length} bytes")
    return int(length)


class Channel:
    """The worker's end: blocking reads of one thread, writes of any."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._writing = threading.Lock()

    def read(self) -> Frame | None:
        """The next frame; None when the gateway is gone."""
        header = self._exactly(HEADER)
        if header is None:
            return None
        body = self._exactly(frame_length(header))
        return None if body is None else decode(body)

    def write(self, frame: Frame) -> None:
        """Raises ``OSError`` when the gateway is gone."""
        data = encode(frame)
        with self._writing:
            self._connection.sendall(data)

    def _exactly(self, count: int) -> bytes | None:
        parts: list[bytes] = []
        while count:
            try:
                part = self._connection.recv(min(count, 1024 * 1024))
            except ConnectionError:
                return None
            if not part:
                return None
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
