"""The program of one session: ``python -m groupline_gateway.engines.whatsmeow.worker FD CLIENT``.

It serves the gateway at the other end of the socket ``FD`` with the client that ``CLIENT`` names,
and ends with it. Calls into the library cannot be interrupted and its threads cannot be ended, so
each call has a daemon thread, and the process leaves by ``os._exit``.
"""

import contextlib
import ctypes
import importlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

from groupline_gateway.engines.whatsmeow.port import (
    Account,
    ClientFailed,
    Letter,
    LibraryMissing,
    Media,
    OpenClient,
    WhatsAppClient,
)
from groupline_gateway.engines.whatsmeow.protocol import BadFrame, Channel, Frame, Happening, Op

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_TRIES = 40
"""Each try leaves an open file behind; after this many a new process takes over."""
_FINISH_SECONDS = 10.0
"""So long calls under way may still be answered after the client call has come back."""


def main(arguments: list[str]) -> NoReturn:
    connection = socket.socket(fileno=int(arguments[0]))
    die_with_parent()
    os.umask(0o077)
    threading.excepthook = _die_of
    worker = Worker(Channel(connection), load_client(arguments[1]))
    with contextlib.suppress(OSError, BadFrame):
        worker.serve()
    os._exit(0)


def die_with_parent() -> None:
    """Where the system can do that. Elsewhere the end of the socket tells us."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _die_of(failure: threading.ExceptHookArgs) -> None:
    """A thread that failed leaves nobody to answer for it: a new process does better."""
    traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    os._exit(1)


def load_client(name: str) -> OpenClient:
    module, _, attribute = name.partition(":")
    opener: OpenClient = getattr(importlib.import_module(module), attribute)
    return opener


class Worker:
    def __init__(self, channel: Channel, open_client: OpenClient) -> None:
        self._channel = channel
        self._open_client = open_client
        self._account = Account("")
        self._client: WhatsAppClient | None = None
        self._pairing_phone: str | None = None
        self._lived = False
        """There has been a connection: when the client ends now, this process ends too."""
        self._calls = 0
        """Requests that the library has not answered yet."""
        self._call_ended = threading.Condition()

    def serve(self) -> None:
        """Answer until the gateway is gone or says stop."""
        while (frame := self._channel.read()) is not None:
            match Op(frame["op"]):
                case Op.START:
                    self._start(frame)
                case Op.PING:
                    self._channel.write({"id": frame["id"], "ok": {}})
                case Op.STOP:
                    self._stop()
                    return
                case op:
                    self._in_thread(partial(self._answer, frame, op))

    # --- the connection

    def _start(self, frame: Frame) -> None:
        os.chdir(frame["directory"])
        self._account = Account(frame["database"], frame.get("proxy"))
        self._pairing_phone = frame.get("pairingPhone")
        self._in_thread(self._stay_connected)

    def _stay_connected(self) -> None:
        """The library connects once; whether it is tried again is up to us."""
        pause = _FIRST_PAUSE
        for _ in range(_TRIES):
            text = self._connect_once()
            if text is None or self._lived:
                self._finish_calls()
                break
            self._emit({"event": Happening.CONNECT_FAILED, "text": text, "againIn": pause})
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._end()

    def _connect_once(self) -> str | None:
        """Why there was no connection; None if there was one."""
        try:
            self._client = self._open_client(self._account, self._hear)
            self._emit({"event": Happening.READY})
            self._client.run()
        except LibraryMissing as error:
            self._emit({"event": Happening.UNUSABLE, "text": str(error)})
            os._exit(1)
        except ClientFailed as error:
            return str(error)
        return None

    def _finish_calls(self) -> None:
        """What the library cannot put into an event ends its client call, not its connection: a
        message under way is still acknowledged, and would be of unknown fate without that."""
        self._lived = False
        self._emit({"event": Happening.DISCONNECTED})
        with self._call_ended:
            self._call_ended.wait_for(lambda: self._calls == 0, _FINISH_SECONDS)

    def _end(self) -> NoReturn:
        self._emit({"event": Happening.ENDED})
        os._exit(0)

    def _stop(self) -> None:
        if self._client is not None and self._lived:
            # A polite end; if it takes longer than the gateway waits, we are killed.
            with contextlib.suppress(ClientFailed):
                self._client.disconnect()

    # --- what happens

    def _hear(self, frame: Frame) -> None:
        """What the client tells, from a thread of the library."""
        happening = frame["event"]
        if happening in (Happening.QR, Happening.CONNECTED):
            self._lived = True
        self._emit(frame)
        if happening == Happening.QR and self._pairing_phone is not None:
            phone, self._pairing_phone = self._pairing_phone, None
            self._in_thread(lambda: self._ask_for_code(phone))
        elif happening == Happening.LOGIN and frame["status"] != "success":
            # The library now waits for a login that can no longer come.
            self._end()

    def _ask_for_code(self, phone: str) -> None:
        try:
            code = self._connected().pair_phone(phone)
        except ClientFailed as error:
            self._emit({"event": Happening.PAIRING_CODE_FAILED, "text": str(error)})
        else:
            self._emit({"event": Happening.PAIRING_CODE, "code": code})

    def _emit(self, frame: Frame) -> None:
        try:
            self._channel.write(frame)
        except OSError:
            os._exit(0)  # nobody is left to tell

    # --- requests

    def _answer(self, frame: Frame, op: Op) -> None:
        with self._counted():
            try:
                answer: Frame = {"ok": self._call(frame, op)}
            except ClientFailed as error:
                answer = {"error": str(error)}
            self._emit({"id": frame["id"], **answer})

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._call_ended:
            self._calls += 1
        try:
            yield
        finally:
            with self._call_ended:
                self._calls -= 1
                self._call_ended.notify_all()

    def _call(self, frame: Frame, op: Op) -> Frame:
        client = self._connected()
        match op:
            case Op.PAIR_PHONE:
                return {"code": client.pair_phone(frame["phone"])}
            case Op.SEND:
                return {"messageId": client.send(_letter(frame))}
            case Op.GROUPS:
                return {"groups": client.groups()}
            case Op.PARTICIPANTS:
                return client.participants(frame["jid"])
            case Op.INVITE:
                return {"link": client.invite(frame["jid"])}
            case Op.LOGOUT:
                client.logout()
                return {}
            case Op.START | Op.PING | Op.STOP:
                raise ClientFailed(f"{op} is no question")

    def _connected(self) -> WhatsAppClient:
        if self._client is None or not self._lived:
            raise ClientFailed("websocket not connected")
        return self._client

    def _in_thread(self, call: Callable[[], None]) -> None:
        threading.Thread(target=call, daemon=True).start()


def _letter(frame: Frame) -> Letter:
    media = frame.get("media")
    return Letter(
        recipient=frame["to"],
        text=frame["text"],
        secret=bytes.fromhex(frame["secret"]),
        media=None
        if media is None
        else Media(Path(media["path"]), media["kind"], media["mimeType"], media["fileName"]),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
