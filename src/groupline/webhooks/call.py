"""One call of a receiver: signed, without following redirects, and only to where it may go."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import aiohttp
from standardwebhooks import Webhook
from yarl import URL

from groupline.build import current_version
from groupline.net import (
    Allows,
    CheckedResolver,
    ForbiddenAddress,
    check_addresses,
    literal_address,
)
from groupline.webhooks.rules import NotDelivered, Outcome, judge

_SECONDS: Final = 15.0
_CONNECT_SECONDS: Final = 5.0


class Caller:
    """The pooled client for receivers. Close it last."""

    def __init__(self, allows: Allows, *, seconds: float = _SECONDS) -> None:
        self._allows = allows
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def call(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """What became of it. No exception of the network gets past here."""
        try:
            target = URL(url)
            host = target.host or ""
            if literal_address(host) is not None:  # no resolver is asked about these
                check_addresses([host], self._allows)
            async with self._client().post(
                target, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return judge(answer.status)
        except (ForbiddenAddress, aiohttp.ClientError, OSError, ValueError) as error:
            return NotDelivered(self._sentence(error))

    def _sentence(self, error: Exception) -> str:
        match error:
            case ForbiddenAddress():
                return "The address leads into a private network."
            case TimeoutError():
                return f"The receiver did not answer within {self._seconds:g} s."
            case aiohttp.ClientConnectorDNSError():
                return "The name of the receiver is not known."
            case aiohttp.ClientSSLError():
                return "The receiver's certificate is not valid."
            case aiohttp.ClientConnectorError():
                return "The receiver cannot be reached."
            case _:
                return f"The connection to the receiver failed ({type(error).__name__})."

    def _client(self) -> aiohttp.ClientSession:
        """Made at the first call, because it belongs to the running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=CheckedResolver(self._allows), limit=64, use_dns_cache=False
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"groupline/{current_version()}"},
                timeout=aiohttp.ClientTimeout(total=self._seconds, connect=_CONNECT_SECONDS),
                trust_env=False,
            )
        return self._session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # lets the transports see that they are closed


def encode(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def signed_headers(
    delivery_id: UUID, body: bytes, secrets: list[str], now: datetime
) -> dict[str, str]:
    """The id stays the same for every attempt: by it a receiver knows what it has seen."""
    message_id = f"msg_{delivery_id.hex}"
    signatures = [Webhook(each).sign(message_id, now, body.decode()) for each in secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
