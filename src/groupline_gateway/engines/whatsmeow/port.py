"""What a worker needs of a WhatsApp client: the narrowest place where another one can stand in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from groupline_gateway.engines.whatsmeow.protocol import Frame

Emit: TypeAlias = Callable[[Frame], None]
"""Takes what happens, from any thread."""


class ClientFailed(Exception):
    """A call into the library failed; the text is the library's."""


class LibraryMissing(Exception):
    """The library cannot be used on this machine; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a client is opened with."""

    database: str
    """The file of the pairing, in the present directory."""
    proxy: str | None = None
    """``http://…`` or ``socks5://…``"""


@dataclass(frozen=True, slots=True)
class Media:
    path: Path
    kind: str
    """image, video or document"""
    mime_type: str
    file_name: str


@dataclass(frozen=True, slots=True)
class Letter:
    recipient: str
    text: str
    secret: bytes
    media: Media | None = None


class WhatsAppClient(Protocol):
    """Blocking calls, each from a thread of its own. They raise ``ClientFailed``."""

    def run(self) -> None:
        """Connect and stay. Fails where it could not connect, and comes back when it had been
        connected and is of no more use."""
        ...

    def pair_phone(self, phone: str) -> str:
        """The code to type on the phone."""
        ...

    def send(self, letter: Letter) -> str:
        """The id of the message, from WhatsApp's answer."""
        ...

    def groups(self) -> list[Frame]: ...

    def participants(self, jid: str) -> Frame: ...

    def invite(self, jid: str) -> str:
        """The invite link."""
        ...

    def logout(self) -> None:
        """Returns once WhatsApp has removed this device."""
        ...

    def disconnect(self) -> None: ...


OpenClient: TypeAlias = Callable[[Account, Emit], WhatsAppClient]
"""Called once for every connection; may raise ``LibraryMissing``."""


def plain_account(frame: dict[str, Any]) -> Account:
    return Account(database=frame["database"], proxy=frame.get("proxy"))
