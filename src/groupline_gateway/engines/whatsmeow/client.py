"""The WhatsApp client of a worker: neonize behind our port. The only module that imports it.

Everything that leaves this module is plain: text, numbers, lists and dicts. Handlers are registered
before the connection; what is not registered is not even decoded.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

from groupline_gateway.engines.whatsmeow import library, mapping
from groupline_gateway.engines.whatsmeow.port import (
    Account,
    ClientFailed,
    Emit,
    Letter,
    LibraryMissing,
    Media,
    WhatsAppClient,
)
from groupline_gateway.engines.whatsmeow.protocol import Frame, Happening

_runs = itertools.count(1)
# WhatsApp takes a name of the form "Browser (System)" only, and the library's own is in capitals.
_BROWSER = SimpleNamespace(name="Chrome", value=1)
_SYSTEM = SimpleNamespace(name="Linux")
_NO_EVENT = "proto:"


def open_client(account: Account, emit: Emit) -> WhatsAppClient:
    """A client for one connection. Raises ``LibraryMissing``."""
    library.prepare(emit)
    try:
        make = _client_class()
    except (ImportError, OSError, RuntimeError) as error:
        raise LibraryMissing(f"The package neonize cannot be loaded here: {error}") from error
    return make(account, emit)


def _client_class() -> Callable[[Account, Emit], WhatsAppClient]:
    # Imported here, after its surroundings are as they have to be.
    from neonize.client import NewClient  # noqa: PLC0415

    class Client(NewClient):  # type: ignore[misc]  # it comes without types
        """Hears the login status, which the library only prints."""

        on_login: Callable[[str], None]

        def _NewClient__onLoginStatus(self, _uuid: int, status: int) -> None:  # noqa: N802
            self.on_login(ctypes.string_at(status).decode())

    return lambda account, emit: NeonizeClient(Client, account, emit)


class NeonizeClient:
    """Implements ``WhatsAppClient``."""

    def __init__(self, client_class: Any, account: Account, emit: Emit) -> None:
        self._emit = emit
        self._proxy = account.proxy
        self._me: list[str] = []
        # A name of its own for each: letting an older client go stops the one of the same name.
        uuid = f"session-{next(_runs)}"
        self._client = client_class(account.database, props=_device(), uuid=uuid)
        self._client.on_login = self._on_login
        self._client.qr(self._on_qr)
        self._register_handlers()

    # --- calls

    def run(self) -> None:
        from neonize._binder import ProxySettings  # noqa: PLC0415

        proxy = None if self._proxy is None else ProxySettings(self._proxy)
        try:
            with _failures():
                self._client.connect(proxy)
        except ClientFailed as error:
            # What it cannot put into an event ends the call, however well it is connected.
            if not str(error).startswith(_NO_EVENT):
                raise

    def pair_phone(self, phone: str) -> str:
        with _failures():
            return str(self._client.PairPhone(phone, True, _SYSTEM, _BROWSER))

    def send(self, letter: Letter) -> str:
        from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message  # noqa: PLC0415

        with _failures():
            if letter.media is None:
                message = Message(conversation=letter.text)
            else:
                message = self._with_media(letter.media, letter.text)
            message.messageContextInfo.messageSecret = letter.secret
            return str(self._client.send_message(_jid(letter.recipient), message).ID)

    def groups(self) -> list[Frame]:
        with _failures():
            return [
                mapping.group(_plain_group(each), self._me)
                for each in self._client.get_joined_groups()
            ]

    def participants(self, jid: str) -> Frame:
        with _failures():
            found = _plain_group(self._client.get_group_info(_jid(jid)))
        people = [mapping.participant(each) for each in found["participants"]]
        return {"name": found["name"], "participants": people}

    def invite(self, jid: str) -> str:
        with _failures():
            return str(self._client.get_group_invite_link(_jid(jid)))

    def logout(self) -> None:
        with _failures():
            self._client.logout()

    def disconnect(self) -> None:
        with _failures():
            self._client.disconnect()

    def _with_media(self, media: Media, caption: str) -> Any:
        from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as wire  # noqa: PLC0415
        from neonize.utils.enum import MediaType  # noqa: PLC0415

        kinds = {"image": MediaType.MediaImage, "video": MediaType.MediaVideo}
        content = media.path.read_bytes()
        upload = self._client.upload(content, kinds.get(media.kind, MediaType.MediaDocument))
        facts = {
            "URL": upload.url,
            "directPath": upload.DirectPath,
            "mediaKey": upload.MediaKey,
            "fileEncSHA256": upload.FileEncSHA256,
            "fileSHA256": upload.FileSHA256,
            "fileLength": upload.FileLength,
            "mimetype": media.mime_type,
            "caption": caption,
        }
        if media.kind == "image":
            return wire.Message(imageMessage=wire.ImageMessage(**facts))
        if media.kind == "video":
            return wire.Message(videoMessage=wire.VideoMessage(**facts))
        name = media.file_name
        return wire.Message(
            documentMessage=wire.DocumentMessage(**facts, fileName=name, title=name)
        )

    # --- what happens

    def _on_qr(self, _client: object, code: bytes) -> None:
        self._emit({"event": Happening.QR, "code": code.decode()})

    def _on_login(self, status: str) -> None:
        self._emit({"event": Happening.LOGIN, "status": status})

    def _register_handlers(self) -> None:
        from neonize.proto import Neonize_pb2 as wire  # noqa: PLC0415

        silent = {
            wire.Disconnected: Happening.DISCONNECTED,
            wire.KeepAliveTimeout: Happening.KEEP_ALIVE_TIMEOUT,
            wire.StreamReplaced: Happening.REPLACED,
            wire.ClientOutdated: Happening.OUTDATED,
        }
        for kind, happening in silent.items():
            self._on(kind, partial(self._on_bare, happening))
        self._on(wire.Connected, self._on_connected)
        self._on(wire.KeepAliveRestored, self._on_connected)
        self._on(wire.LoggedOut, self._on_logged_out)
        self._on(wire.TemporaryBan, self._on_ban)
        self._on(wire.ConnectFailure, self._on_connect_failure)
        self._on(wire.Receipt, self._on_receipt)
        self._on(wire.JoinedGroup, self._on_joined_group)
        self._on(wire.GroupInfoEvent, self._on_group_info)

    def _on(self, kind: Any, handler: Callable[[Any], None]) -> None:
        self._client.event(kind)(lambda _client, event: handler(event))

    def _on_bare(self, happening: Happening, _event: object) -> None:
        self._emit({"event": happening})

    def _on_connected(self, _event: object) -> None:
        device = self._client.get_me()
        self._me = _names(device)
        phone = mapping.phone_of(_plain_jid(device.JID))
        self._emit({"event": Happening.CONNECTED, "phone": phone})

    def _on_logged_out(self, event: Any) -> None:
        self._emit({"event": Happening.LOGGED_OUT, "reason": _name_of(event, "Reason")})

    def _on_ban(self, event: Any) -> None:
        code = _name_of(event, "Code")
        self._emit({"event": Happening.BANNED, "code": code, "seconds": int(event.Expire)})

    def _on_connect_failure(self, event: Any) -> None:
        self._emit({"event": Happening.REFUSED, "reason": _name_of(event, "Reason")})

    def _on_receipt(self, event: Any) -> None:
        source = event.MessageSource
        raw = {
            "type": _name_of(event, "Type"),
            "chat": _plain_jid(source.Chat),
            "sender": _plain_jid(source.Sender),
            "senderAlt": _plain_jid(source.SenderAlt),
            "isFromMe": source.IsFromMe,
            "messageIds": list(event.MessageIDs),
            "timestamp": event.Timestamp,
        }
        found = mapping.receipt(raw, self._known_as())
        if found is not None:
            self._emit({"event": Happening.RECEIPT, **found})

    def _on_joined_group(self, event: Any) -> None:
        info = event.GroupInfo
        self._tell_changes(
            mapping.joined_group({"jid": _plain_jid(info.JID), "name": info.GroupName.Name})
        )

    def _on_group_info(self, event: Any) -> None:
        raw = {
            "jid": _plain_jid(event.JID),
            "timestamp": event.Timestamp,
            "name": event.Name.Name if event.HasField("Name") else None,
            "deleted": event.HasField("Delete") and event.Delete.Deleted,
            "settings": any(map(event.HasField, ("Announce", "Link", "Unlink"))),
            "join": [_plain_jid(jid) for jid in event.Join],
            "leave": [_plain_jid(jid) for jid in event.Leave],
            "promote": [_plain_jid(jid) for jid in event.Promote],
            "demote": [_plain_jid(jid) for jid in event.Demote],
        }
        self._tell_changes(mapping.group_changes(raw, self._known_as()))

    def _known_as(self) -> list[str]:
        """What waited for us at WhatsApp is told before we are called connected."""
        if not self._me and self._client.me is not None:
            self._me = _names(self._client.me)
        return self._me

    def _tell_changes(self, changes: list[Frame]) -> None:
        for change in changes:
            self._emit({"event": Happening.MEMBERSHIP, **change})


def _device() -> Any:
    """What the phone's list of linked devices shows."""
    from neonize.proto.waCompanionReg import WAWebProtobufsCompanionReg_pb2 as wire  # noqa: PLC0415

    return wire.DeviceProps(os="Groupline", platformType=wire.DeviceProps.CHROME)


@contextmanager
def _failures() -> Iterator[None]:
    """The library's errors, and a file that cannot be read, in one class with their words."""
    from neonize.exc import NeonizeError  # noqa: PLC0415

    try:
        yield
    except (NeonizeError, OSError) as error:
        raise ClientFailed(str(error)) from error


def _jid(text: str) -> Any:
    from neonize.utils.jid import build_jid  # noqa: PLC0415

    return build_jid(*mapping.parse_jid(text))


def _names(device: Any) -> list[str]:
    """The JIDs by which an account is known: its phone's and its LID."""
    known = map(mapping.jid_text, (_plain_jid(device.JID), _plain_jid(device.LID)))
    return [text for text in known if text]


def _plain_jid(jid: Any) -> Frame:
    return {"user": jid.User, "server": jid.Server}


def _name_of(event: Any, field: str) -> str | None:
    """The name of an enumeration's value; None where the library could not map it."""
    if not event.HasField(field):
        return None
    kind = event.DESCRIPTOR.fields_by_name[field].enum_type
    return str(kind.values_by_number[getattr(event, field)].name)


def _plain_group(info: Any) -> Frame:
    return {
        "jid": _plain_jid(info.JID),
        "name": info.GroupName.Name,
        "isAnnounce": info.GroupAnnounce.IsAnnounce,
        "isParent": info.GroupParent.IsParent,
        "isDefaultSub": info.GroupIsDefaultSub.IsDefaultSubGroup,
        "participants": [
            {
                "jid": _plain_jid(each.JID),
                "lid": _plain_jid(each.LID),
                "phone": _plain_jid(each.PhoneNumber),
                "isAdmin": each.IsAdmin,
                "isSuperAdmin": each.IsSuperAdmin,
            }
            for each in info.Participants
        ],
    }
