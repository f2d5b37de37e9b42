"""Channels by apprise address: which may be used, how they are shown, and sending to one.

apprise knows more than a hundred services, among them some that write files, talk to programs of
this machine or read keys from its disk. Only those in the tables below are offered. Where the
address itself names the server, that server has to be public, unless a setting allows more; this
is looked at before each message. (The library resolves the name once more when it connects, so a
name that changes in that moment gets past: only admins may enter addresses.)
"""

import asyncio
import logging
import re
import threading
import warnings
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from groupline.errors import InvalidInput
from groupline.net import Allows, ForbiddenAddress, check_host, literal_address

_HOSTED: Final = frozenset(
    """bark brevo discord fcm gchat groupme guilded ifttt join line mailgun msteams ntfy
    opsgenie pagerduty pbul postmark pover prowl pushed pushy resend sendgrid ses signl4 simplepush
    slack smtp2go sns sparkpost splunk spontit tgram threema twilio twist vonage webex wxteams
    zulip""".split()
)
"""Services at addresses of their own, which apprise knows."""
_NAMED: Final = frozenset(
    """json jsons xml xmls form forms mailto mailtos gotify gotifys ntfy ntfys mmost mmosts
    rocket rockets workflow workflows""".split()
)
"""The address names the server."""
_REFUSED_PARAMETERS: Final = frozenset(
    """template pgp pgpkey keyfile subfile config redirect retry wait tag verify""".split()
)
"""They would read files of this machine, or undo what is settled here."""

_MAX_URL: Final = 2_000
_REASON_LENGTH: Final = 200


class NotDeliverable(Exception):
    """The channel did not take it; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be seen of an address."""

    service: str
    masked: str


async def load_services() -> None:
    """Takes the better part of a second, the first time: not in the way of everything else."""
    await asyncio.to_thread(_library)


def check_channel_url(text: str, allows: Allows) -> str:
    """An address that may be used. Raises ``InvalidInput`` that never repeats it."""
    url = text.strip()
    if not url or len(url) > _MAX_URL or not url.isprintable():
        raise _bad_url("is empty, too long, or contains characters that an address cannot have")
    asked = {name.lower() for name, _ in parse_qsl(_query_of(url), keep_blank_values=True)}
    if refused := sorted(asked & _REFUSED_PARAMETERS):
        raise _bad_url(f"must not contain the parameter {refused[0]}")
    plugin = _plugin(url)
    for host in _hosts_of(plugin):
        literal = literal_address(host)
        if literal is not None and not allows(literal):
            raise _bad_url("leads into a private network")
    return url


def shown(url: str) -> Shown:
    """The service and, where the address names one, the server; nothing that could be a secret."""
    try:
        plugin = _plugin(url)
    except InvalidInput:
        return Shown("Unknown service", f"{url.partition('://')[0]}://…")
    hosts = _hosts_of(plugin)
    place = f"{hosts[-1]}/…" if hosts else "…"
    return Shown(str(plugin.service_name), f"{plugin.schema}://{place}")


def send(url: str, title: str, text: str, allows: Allows) -> None:
    """Blocks, so it belongs in a thread. Raises ``NotDeliverable``."""
    try:
        plugin = _plugin(url)
        for host in _hosts_of(plugin):
            check_host(host, allows)
    except InvalidInput as error:
        raise NotDeliverable(error.detail) from error
    except ForbiddenAddress as error:
        raise NotDeliverable("The address leads into a private network.") from error
    except OSError as error:
        raise NotDeliverable("The name of the server is not known.") from error
    with _Complaints() as complaints:
        try:
            delivered = plugin.notify(title=title, body=text)
        except Exception as error:
            raise NotDeliverable(
                f"{plugin.service_name} failed ({type(error).__name__})."
            ) from error
    if not delivered:
        raise NotDeliverable(_without_secrets(complaints.first, url, str(plugin.service_name)))


def _plugin(url: str) -> Any:
    library = _library()
    asset = library.AppriseAsset(
        app_id="Groupline",
        app_desc="Groupline alerts",
        http_redirects=False,
        secure_logging=True,
        storage_mode=library.PersistentStoreMode.MEMORY,
    )
    plugin = library.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin is None or plugin.schema not in _HOSTED | _NAMED:
        raise _bad_url("is not one of a service that alerts can be sent to")
    return plugin


def _hosts_of(plugin: Any) -> list[str]:
    """The servers that the address names, the one that is really called last."""
    if plugin.schema not in _NAMED or getattr(plugin, "mode", None) == "cloud":
        return []
    return [host for host in (plugin.host, getattr(plugin, "smtp_host", None)) if host]


@cache
def _library() -> ModuleType:
    """Loaded when the first channel is, since it takes a while. What it complains of is ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own code
        import apprise  # noqa: PLC0415

        apprise.Apprise.instantiate("json://localhost")  # loads its services
    logger = logging.getLogger("apprise")
    logger.propagate = False  # an address may be in what it logs
    logger.addHandler(logging.NullHandler())
    return apprise


class _Complaints(logging.Handler):
    """What the library says in this thread about why something was not delivered."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.first: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and self.first is None:
            self.first = record.getMessage()

    def __enter__(self) -> Self:
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_error: object) -> None:
        logging.getLogger("apprise").removeHandler(self)


def _without_secrets(complaint: str | None, url: str, service: str) -> str:
    if complaint is None:
        return f"{service} did not take it."
    text = " ".join(complaint.split())
    # The name of the service may be in both; every other part of the address is left out.
    parts = sorted(set(re.findall(r"[^\W_][\w.-]{3,}", url)), key=len, reverse=True)
    for part in parts:
        if part.lower() not in service.lower():
            text = text.replace(part, "…")
    return text[:_REASON_LENGTH]


def _query_of(url: str) -> str:
    try:
        return urlsplit(url).query or url.partition("?")[2]
    except ValueError:
        return url.partition("?")[2]


def _bad_url(why: str) -> InvalidInput:
    return InvalidInput(f"The address {why}.", fields={"url": why})
