"""The contract between Groupline and a gateway: its words and the shapes on the wire.

This is the only module of the package that ``groupline`` may import. It stays light: Pydantic
and nothing else. Fields marked "own" exist only on Groupline's own gateway; other gateways
of the contract leave them out.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

API_KEY_HEADER = "X-API-Key"
EXISTING_SESSION_MISSING = "Session not found"
MAX_MESSAGE_LENGTH = 65_536
MAX_CLIENT_REF_LENGTH = 200
MEDIA_TYPES = ("image", "video", "document")


class SessionStatus(StrEnum):
    """What ``GET /status/{sessionId}`` may say. ``qr`` is an older word for ``qr_pending``."""

    QR = "qr"
    QR_PENDING = "qr_pending"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class DisconnectReason(StrEnum):
    """Why a session of Groupline's own gateway is disconnected."""

    LOGGED_OUT = "logged_out"
    """The pairing is gone: the phone removed it, or somebody asked the gateway to."""
    CONNECTION_LOST = "connection_lost"
    """The pairing stands; ``/connect`` brings it back."""
    PAIRING_EXPIRED = "pairing_expired"
    """Nobody scanned the QR code in time."""
    REPLACED = "replaced"
    """Another program took this pairing over; ``/connect`` takes it back."""
    BANNED = "banned"
    """WhatsApp keeps the number out; ``restriction`` says until when."""
    OUTDATED = "outdated"
    """WhatsApp no longer speaks with this version of the gateway."""


class Capability(StrEnum):
    """What ``/health`` lists; without an entry the driver does without the feature."""

    CLIENT_REF = "client_ref"
    SIGNED_WEBHOOKS = "signed_webhooks"
    STATUS_EVENTS = "status_events"
    RECEIPTS = "receipts"
    PAIRING_CODE = "pairing_code"
    RESTRICTION_INFO = "restriction_info"
    SESSIONS = "sessions"
    SIMULATOR = "simulator"


class WebhookType(StrEnum):
    """The ``type`` in the one envelope, and what each event is called there."""

    STATUS = "status"
    SEND_CALLBACK = "send-callback"
    MESSAGE_ERROR = "message-error"
    READ_RECEIPT = "read-receipt"
    REACTION = "reaction"
    MEMBERSHIP = "membership"


WEBHOOK_PATHS: dict[WebhookType, str] = {
    WebhookType.STATUS: "whatsapp-status-webhook",
    WebhookType.SEND_CALLBACK: "whatsapp-send-callback",
    WebhookType.MESSAGE_ERROR: "whatsapp-message-error-webhook",
    WebhookType.READ_RECEIPT: "whatsapp-read-receipt-webhook",
    WebhookType.REACTION: "whatsapp-reaction-webhook",
    WebhookType.MEMBERSHIP: "whatsapp-membership-webhook",
}
"""Where gateways without the envelope send each event, below the hook's own address."""


class Wire(BaseModel):
    """A JSON object of the contract: camelCase outside, unknown fields ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Error(Wire):
    """The body of every answer with a status of 400 or above."""

    error: str = Field(examples=[EXISTING_SESSION_MISSING])


class Success(Wire):
    success: bool = True


class Health(Wire):
    """Without a key only ``status`` is told."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ok",
                    "version": "0.1.0",
                    "engine": "simulator",
                    "capabilities": ["client_ref", "signed_webhooks", "status_events"],
                    "sessions": 3,
                }
            ]
        }
    )

    status: str = "ok"
    version: str | None = Field(None, description="own")
    engine: str | None = Field(None, description="own", examples=["simulator"])
    capabilities: list[str] = Field(default_factory=list, description="own")
    sessions: int | None = Field(None, description="own: sessions this gateway knows")


class Proxy(Wire):
    model_config = ConfigDict(extra="forbid")

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(ge=1, le=65535)
    username: str | None = None
    password: str | None = None
    protocol: Literal["http", "socks5"] = Field("http", description="own")


class SessionReport(Wire):
    """own: one session as the operator of the gateway sees it."""

    session_id: str
    status: SessionStatus
    since: str
    phone_number: str | None = Field(None, description="The last digits only", examples=["…10"])
    detail: str | None = None
    memory_mb: float | None = Field(None, description="Of its process, while it has one")
    restarts: int | None = Field(None, description="Of its process since the gateway started")


class SessionReports(Wire):
    sessions: list[SessionReport]
    limit: int | None = Field(None, description="How many this gateway takes")
    memory_limit_mb: int | None = Field(None, description="Of the process of one session")


class ConnectRequest(Wire):
    session_id: str = Field(
        min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$", examples=["wa_0193c2f4"]
    )
    proxy: Proxy | None = None
    phone: str | None = Field(
        None,
        pattern=r"^\+?[0-9]{6,15}$",
        description="own: the number that is expected to scan",
        examples=["+919876543210"],
    )
    pairing_code: bool = Field(
        False, description="own: show a code to type on the phone too; needs `phone`"
    )

    @field_validator("session_id")
    @classmethod
    def _names_no_directory(cls, name: str) -> str:
        """It is a part of addresses, where these two mean something else."""
        if name in (".", ".."):
            raise ValueError(f"“{name}” cannot be the name of a session")
        return name


class Restriction(Wire):
    """own: what WhatsApp holds against the number."""

    kind: Literal["restricted", "banned"]
    until: str | None = Field(None, description="ISO 8601; absent when there is no end known")
    detail: str | None = None


class Connected(Success):
    """The answer to ``/connect``."""

    session_id: str
    status: SessionStatus


class Status(Wire):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sessionId": "wa_0193c2f4",
                    "status": "qr_pending",
                    "qr": "2@4n1T+pZoupB9rkYFE…",
                    "qrExpiresAt": "2026-03-02T12:01:00.000Z",
                    "since": "2026-03-02T12:00:00.000Z",
                }
            ]
        }
    )

    status: SessionStatus
    session_id: str | None = None
    qr: str | None = Field(None, description="The text of the QR code, while one is shown")
    qr_expires_at: str | None = Field(None, description="own: when the next code replaces it")
    pairing_code: str | None = Field(None, description="own", examples=["K7PM-3WXQ"])
    phone_number: str | None = Field(None, examples=["+919876543210"])
    reason: DisconnectReason | None = Field(None, description="own")
    since: str | None = Field(None, description="own: ISO 8601, when this status began")
    detail: str | None = Field(
        None,
        description="own: a sentence for people on what is wrong",
        examples=["WhatsApp cannot be reached from this machine."],
    )
    restriction: Restriction | None = Field(None, description="own")


class Group(Wire):
    id: str = Field(examples=["120363041234567890@g.us"])
    name: str
    participants: int
    is_admin: bool
    is_community: bool = False
    is_community_announce: bool = False
    announce_only: bool = Field(False, description="own: only admins may post")
    invite_link: str | None = None


class Groups(Wire):
    groups: list[Group]
    complete: bool = Field(True, description="own: nothing was cut off")


class Invite(Wire):
    invite_code: str
    invite_link: str


class Participant(Wire):
    id: str = Field(description="A phone's JID or a LID")
    phone: str | None = None
    is_admin: bool = False
    is_super_admin: bool = False


class Participants(Wire):
    participants: list[Participant]
    group_name: str
    total_participants: int


class SendRequest(Wire):
    session_id: str
    phone: str = Field(
        description="The JID of a group, or a number", examples=["120363041234567890@g.us"]
    )
    message: str = Field("", max_length=MAX_MESSAGE_LENGTH, examples=["We start in 10 minutes."])
    media_url: str | None = None
    media_type: Literal["image", "video", "document"] | None = None
    client_ref: str | None = Field(
        None,
        max_length=MAX_CLIENT_REF_LENGTH,
        description="own: the same reference is sent to WhatsApp at most once",
    )


class SendAnswer(Wire):
    """``messageId`` is the evidence; ``accepted`` instead of it means that a callback follows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"success": True, "messageId": "3EB01EDB71AEFA175FA82D"}]}
    )

    success: bool
    message_id: str | None = None
    accepted: bool | None = None
    existing: bool | None = Field(None, description="own: an earlier request was the one sent")


class MessageStatusRequest(Wire):
    """``clientRef`` (own) asks exactly and durably, ``groupJid`` for the last message there."""

    session_id: str
    client_ref: str | None = None
    group_jid: str | None = None


class MessageState(StrEnum):
    """own: what ``/message-status`` says about a message it found."""

    PENDING = "pending"
    """Being sent at this moment, or on its way without WhatsApp's answer; ask again. With a
    ``messageId`` it may have gone out under this id: never send it again on your own."""
    SENT = "sent"
    FAILED = "failed"
    """Known not to have been sent; ``error`` says why."""


class MessageStatus(Wire):
    """``found: false`` for a ``clientRef`` is a definite no: it was not sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "found": True,
                    "messageId": "3EB01EDB71AEFA175FA82D",
                    "status": "sent",
                    "timestamp": "2026-03-02T12:00:04.120Z",
                }
            ]
        }
    )

    found: bool
    message_id: str | None = None
    status: str | None = None
    timestamp: str | None = None
    error: str | None = Field(None, description="own")


class WebhookEnvelope(Wire):
    """own: the one shape of all events, signed with the Standard Webhooks headers."""

    id: str
    type: str
    at: str
    data: dict[str, Any]


class StatusEvent(Wire):
    session_id: str
    status: str
    phone_number: str | None = None
    timestamp: str | None = None
    reason: str | None = Field(None, description="own")
    detail: str | None = Field(None, description="own: a sentence for people on what is wrong")
    restriction: Restriction | None = Field(
        None, description="own: null says that there is none, absence says nothing"
    )


class SendCallback(Wire):
    event: Literal["message_sent", "message_failed"]
    session_id: str
    group_jid: str
    message_id: str | None
    status: str | None = None
    error: str | None = None
    timestamp: str | None = None
    client_ref: str | None = Field(None, description="own")


class MessageErrorEvent(Wire):
    event: Literal["message_error"] = "message_error"
    session_id: str
    message_id: str
    error_code: int | None = None
    error_message: str | None = None
    group_jid: str | None = None
    client_ref: str | None = Field(None, description="own")


class ReceiptEvent(Wire):
    event: Literal["read", "delivered"]
    session_id: str
    message_id: str
    group_jid: str | None = None
    reader_phone: str = Field("", description="A number, a LID, or empty when anonymous")
    timestamp: str | None = None


class ReactionEvent(Wire):
    event: Literal["reaction"] = "reaction"
    session_id: str
    message_id: str
    group_jid: str
    emoji: str
    reactor_phone: str = ""
    timestamp: str | None = None


class MembershipEvent(Wire):
    event: Literal["joined", "left", "promoted", "demoted", "renamed", "settings"]
    session_id: str
    group_jid: str
    group_name: str | None = None
    phone_number: str | None = None
    timestamp: str | None = None
