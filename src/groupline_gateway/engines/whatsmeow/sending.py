"""One message to WhatsApp: at most once, one at a time per session, and never without an end.

The library waits for WhatsApp's acknowledgement for 75 seconds and lets nobody else send in the
meantime. We wait for less, then kill the worker, and look up in its file whether the message had
come so far that it may have gone out. That look-up is only worth something after the kill.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from groupline_gateway.contract import Restriction
from groupline_gateway.engines.port import Order, Sent
from groupline_gateway.engines.whatsmeow import answers
from groupline_gateway.engines.whatsmeow.media import MediaFetcher
from groupline_gateway.engines.whatsmeow.pairings import PairingGone
from groupline_gateway.engines.whatsmeow.process import CallFailed, WorkerGone
from groupline_gateway.engines.whatsmeow.protocol import Op
from groupline_gateway.engines.whatsmeow.runner import Runner
from groupline_gateway.engines.whatsmeow.secret import LENGTH, message_secret
from groupline_gateway.engines.whatsmeow.sessions import Session
from groupline_gateway.errors import FateUnknown, NotConnected, RateLimited, Rejected

log = structlog.get_logger()

_RESTRICTED = "WhatsApp turned messages of this number down (error 463)"


class Sender:
    """``is_received`` knows messages by their ids that somebody has shown to have."""

    def __init__(
        self,
        media: MediaFetcher,
        *,
        seconds: float,
        is_received: Callable[[str], bool],
        restricted: Callable[[Session], None],
    ) -> None:
        self._media = media
        self._seconds = seconds
        self._is_received = is_received
        self._restricted = restricted

    async def send(self, runner: Runner, order: Order) -> Sent:
        deadline = asyncio.get_running_loop().time() + self._seconds
        await _turn(runner, deadline)
        try:
            return await self._send(runner, order, deadline)
        finally:
            runner.sending.release()

    async def _send(self, runner: Runner, order: Order, deadline: float) -> Sent:
        secret = secrets.token_bytes(LENGTH)
        if order.client_ref is not None:
            secret = message_secret(order.client_ref)
        left = deadline - asyncio.get_running_loop().time()
        async with self._fetched(order, left) as media:
            request = {
                "to": order.recipient,
                "text": order.text,
                "secret": secret.hex(),
                "media": media,
            }
            return await self._carry_out(runner, request, secret, deadline)

    async def _carry_out(
        self, runner: Runner, request: dict[str, Any], secret: bytes, deadline: float
    ) -> Sent:
        worker = runner.worker
        if worker is None:
            # A message before this one, for which it waited, may have been why.
            raise NotConnected(
                "The session is not connected: its process was ended and starts again; "
                "this message was not sent"
            )
        runner.untraceable = False
        try:
            async with asyncio.timeout_at(deadline):
                answer = await worker.ask(Op.SEND, **request)
        except CallFailed as error:
            raise await self._failed(runner, error.text, secret) from error
        except (WorkerGone, TimeoutError) as error:
            log.warning(
                "message.no_answer",
                session_id=runner.session.session_id,
                reason=type(error).__name__,
            )
            await runner.retire(worker)
            return await self._after_the_kill(runner, request, secret)
        self._note_restriction(runner.session, None)
        return Sent(str(answer["messageId"]))

    async def _failed(self, runner: Runner, text: str, secret: bytes) -> Exception:
        """What the library's words mean, in the light of what it had stored."""
        stored = await self._stored(runner, secret)
        if stored is not None and self._is_received(stored):
            return FateUnknown(stored)
        error = answers.send_error(text, stored, traceable=not runner.untraceable)
        if isinstance(error, FateUnknown):
            log.warning("message.fate_unknown", session_id=runner.session.session_id)
            return error
        if stored is not None:
            await asyncio.to_thread(runner.file.forget_message, secret)
        if answers.meaning_of(text) is answers.Meaning.RESTRICTED:
            self._note_restriction(runner.session, _RESTRICTED)
        return error

    async def _after_the_kill(self, runner: Runner, request: dict[str, Any], secret: bytes) -> Sent:
        """The worker is dead: what it had not stored by now, it has not written either."""
        stored = await self._stored(runner, secret)
        if stored is not None and self._is_received(stored):
            return Sent(stored)
        if stored is not None or runner.untraceable:
            raise FateUnknown(stored)
        if request["media"] is not None:
            # Most likely the upload: an attempt that failed, and no lost session.
            raise Rejected("The media was not taken by WhatsApp in time; it was not sent")
        raise NotConnected("The session is not connected: it broke before the message left")

    async def _stored(self, runner: Runner, secret: bytes) -> str | None:
        try:
            return await asyncio.to_thread(runner.file.find_message, secret)
        except PairingGone as error:
            raise FateUnknown from error

    def _note_restriction(self, session: Session, detail: str | None) -> None:
        before = session.restriction
        if before is not None and before.kind == "banned":
            return
        after = None if detail is None else Restriction(kind="restricted", detail=detail)
        if after != before:
            session.restriction = after
            self._restricted(session)

    @contextlib.asynccontextmanager
    async def _fetched(self, order: Order, seconds: float) -> AsyncIterator[dict[str, str] | None]:
        if order.media_url is None or order.media_type is None:
            yield None
            return
        async with self._media.fetched(order.media_url, order.media_type, seconds) as found:
            yield {
                "path": str(found.path),
                "kind": order.media_type,
                "mimeType": found.mime_type,
                "fileName": found.file_name,
            }


async def _turn(runner: Runner, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await runner.sending.acquire()
    except TimeoutError as error:
        raise RateLimited("Another message of this session is still on its way") from error
