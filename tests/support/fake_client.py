"""A WhatsApp client for workers under test: what neonize is to a worker, without WhatsApp.

It keeps its pairing in the library's own tables, stores the secret of a message before it writes,
as the library does, and speaks to the ``FakeWhatsApp`` of the test by JSON lines. Before each step
of a send it asks there whether it may go on: a test can hold it, and kill it, in each of them.
"""

import contextlib
import itertools
import json
import os
import queue
import secrets
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groupline_gateway.engines.whatsmeow import mapping
from groupline_gateway.engines.whatsmeow.port import (
    Account,
    ClientFailed,
    Emit,
    Letter,
    LibraryMissing,
)
from groupline_gateway.engines.whatsmeow.protocol import Frame, Happening

ADDRESS = "FAKE_WHATSAPP"
"""Names the socket of the test in the environment of the workers."""
BALLAST = "FAKE_WHATSAPP_BALLAST"
"""Megabytes that a worker wastes."""
LOADING = "loading.txt"
"""In the directory of the pairings."""
SENDER = "100200300:1@lid"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS whatsmeow_device (jid TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS whatsmeow_message_secrets (
    our_jid TEXT, chat_jid TEXT, sender_jid TEXT, message_id TEXT, key bytea NOT NULL,
    PRIMARY KEY (our_jid, chat_jid, sender_jid, message_id),
    FOREIGN KEY (our_jid) REFERENCES whatsmeow_device(jid) ON DELETE CASCADE ON UPDATE CASCADE
);
"""


def open_client(account: Account, emit: Emit) -> "FakeClient":
    return FakeClient(account, emit)


def no_library(account: Account, emit: Emit) -> "FakeClient":
    raise LibraryMissing("There is no library on this machine.")


def never_loads(account: Account, emit: Emit) -> "FakeClient":
    """As a library whose loading takes too long. Its process is named in ``LOADING``."""
    with Path(LOADING).open("a") as file:
        file.write(f"{os.getpid()}\n")
    while True:
        signal.pause()


class FakeClient:
    def __init__(self, account: Account, emit: Emit) -> None:
        self._account = account
        self._emit = emit
        self._calls = itertools.count(1)
        self._answers: dict[int, queue.Queue[Frame]] = {}
        self._writing = threading.Lock()
        self._connection: socket.socket | None = None
        self._phone: str | None = None
        self._ballast = b"x" * (int(os.environ.get(BALLAST, "0")) * 1_048_576)
        with self._database() as database:
            database.executescript(_SCHEMA)
            row = database.execute("SELECT jid FROM whatsmeow_device").fetchone()
        if row is not None:
            self._phone = mapping.parse_jid(row[0])[0]

    # --- the port

    def run(self) -> None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(os.environ[ADDRESS])
        except OSError as error:
            raise ClientFailed(f"failed to dial whatsapp web websocket: {error}") from error
        self._connection = connection
        self._say(
            {
                "hello": self._account.database,
                "pid": os.getpid(),
                "phone": self._phone,
                "proxy": self._account.proxy,
                "environmentProxy": os.environ.get("HTTPS_PROXY"),
            }
        )
        lines = connection.makefile()
        if not self._listen(lines):
            # As with a receipt that the library cannot map: its call ends, the connection lives.
            threading.Thread(target=self._listen, args=(lines,), daemon=True).start()
            return
        self._emit({"event": Happening.DISCONNECTED})

    def _listen(self, lines: Iterable[str]) -> bool:
        """Until the connection ends, or only the events of it."""
        with contextlib.suppress(OSError):
            for line in lines:
                said = json.loads(line)
                if "endOfEvents" in said:
                    return False
                self._hear(said)
        return True

    def pair_phone(self, phone: str) -> str:
        return str(self._call("pair_phone", phone=phone)["code"])

    def send(self, letter: Letter) -> str:
        message_id = "3EB0" + secrets.token_hex(9).upper()
        if self._call("step", step="before_store", messageId=message_id).get("full"):
            # The library warns, and sends all the same.
            self._emit({"event": Happening.UNTRACEABLE})
        else:
            self._store(letter, message_id)
        self._call("step", step="stored", messageId=message_id)
        self._call(
            "wire",
            messageId=message_id,
            to=letter.recipient,
            text=letter.text,
            phone=self._phone,
            media=None
            if letter.media is None
            else [
                letter.media.kind,
                letter.media.mime_type,
                letter.media.file_name,
                letter.media.path.read_text(),
            ],
        )
        self._call("step", step="answered", messageId=message_id)
        return message_id

    def _store(self, letter: Letter, message_id: str) -> None:
        with self._database() as database:
            database.execute(
                "INSERT INTO whatsmeow_message_secrets VALUES (?, ?, ?, ?, ?)",
                (
                    f"{self._phone}:7@s.whatsapp.net",
                    letter.recipient,
                    SENDER,
                    message_id,
                    letter.secret,
                ),
            )

    def groups(self) -> list[Frame]:
        me = [f"{self._phone}@s.whatsapp.net"]
        return [mapping.group(each, me) for each in self._call("groups")["groups"]]

    def participants(self, jid: str) -> Frame:
        found = self._call("group", jid=jid)["group"]
        people = [mapping.participant(each) for each in found["participants"]]
        return {"name": found["name"], "participants": people}

    def invite(self, jid: str) -> str:
        return str(self._call("invite", jid=jid)["link"])

    def logout(self) -> None:
        self._call("logout")
        self._forget_account()

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    # --- the other end

    def _hear(self, line: Frame) -> None:
        if "answer" in line:
            self._answers[line["answer"]].put(line)
            return
        if "scannedBy" in line:
            self._phone = str(line["scannedBy"])
            with self._database() as database:
                jid = f"{self._phone}:7@s.whatsapp.net"
                database.execute("INSERT INTO whatsmeow_device VALUES (?)", (jid,))
            self._emit({"event": Happening.LOGIN, "status": "success"})
            return
        event = line["event"]
        if event["event"] == Happening.LOGGED_OUT and event.get("deleted", True):
            self._forget_account()
        if event["event"] == Happening.CONNECTED:
            event["phone"] = self._phone
        self._emit(event)

    def _call(self, op: str, **given: Any) -> Frame:
        number = next(self._calls)
        answers: queue.Queue[Frame] = queue.Queue()
        self._answers[number] = answers
        self._say({"call": number, "op": op, **given})
        answer = answers.get()
        if "error" in answer:
            raise ClientFailed(answer["error"])
        return answer

    def _say(self, line: Frame) -> None:
        assert self._connection is not None
        with self._writing:
            self._connection.sendall(json.dumps(line).encode() + b"\n")

    @contextlib.contextmanager
    def _database(self) -> Any:
        database = sqlite3.connect(self._account.database, timeout=5)
        database.execute("PRAGMA foreign_keys = ON")
        try:
            with database:
                yield database
        finally:
            database.close()

    def _forget_account(self) -> None:
        with self._database() as database:
            database.execute("DELETE FROM whatsmeow_device")
