"""What the ``/sim`` calls take and give."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from groupline_gateway.contract import Restriction, Wire
from groupline_gateway.engines.faults import FaultRule


def digits(number: object) -> object:
    """``+91 98765 43210`` as ``919876543210``."""
    if not isinstance(number, str):
        return number
    return "".join(character for character in number if character not in " +-()")


PhoneNumber: TypeAlias = Annotated[
    str,
    BeforeValidator(digits),
    Field(pattern=r"^[0-9]{6,15}$", examples=["+91 98765 43210"]),
]
GroupJid: TypeAlias = Annotated[
    str, Field(pattern=r"^[0-9]+(-[0-9]+)?@g\.us$", examples=["120363041234567890@g.us"])
]


class SimRequest(Wire):
    model_config = ConfigDict(extra="forbid")


class AutoReceipts(SimRequest):
    """Receipts that come by themselves after each message."""

    readers: int = Field(3, ge=0, le=500, description="At most so many participants")
    anonymous: int = Field(0, ge=0, le=500, description="So many of them without a name")
    delivered_after: float = Field(1.0, ge=0, le=3600)
    read_after: float | None = Field(4.0, ge=0, le=3600)


class NewGroup(SimRequest):
    """A group to be in. With the ``id`` of an existing one the phone joins that."""

    id: GroupJid | None = None
    name: str | None = Field(None, min_length=1, max_length=100)
    participants: int = Field(24, ge=1, le=2000)
    is_admin: bool = False
    announce_only: bool = False
    is_community: bool = False
    is_community_announce: bool = False


class GroupsWanted(SimRequest):
    """Either a list of groups, or how many to make up."""

    groups: int | list[NewGroup] = Field(0, description="1 to 5,000 in one call")
    communities: int | None = Field(
        None,
        ge=0,
        description="Of a count, how many are community parents; each with its own "
        "announcement group. Without it one from ten groups on",
    )

    @model_validator(mode="after")
    def _not_too_many(self) -> "GroupsWanted":
        count = self.groups if isinstance(self.groups, int) else len(self.groups)
        if not 0 <= count <= 5000:
            raise ValueError("groups: 0 to 5,000 in one call")
        if self.communities is not None and self.communities * 2 > count:
            raise ValueError("communities: each takes two of the groups")
        return self


class NewPhone(GroupsWanted):
    number: PhoneNumber
    name: str = Field(min_length=1, max_length=100, examples=["Studio phone"])
    receipts: AutoReceipts | None = None


class PhoneSession(Wire):
    session_id: str
    status: str


class Phone(Wire):
    number: str
    name: str
    groups: int
    sessions: list[PhoneSession]
    restriction: Restriction | None = None
    receipts: AutoReceipts | None = None


class Phones(Wire):
    phones: list[Phone]


class SimGroup(Wire):
    id: str
    name: str
    participants: int
    is_admin: bool
    announce_only: bool
    is_community: bool
    is_community_announce: bool


class SimGroups(Wire):
    groups: list[SimGroup]


class Joined(Wire):
    success: bool = True
    joined: list[str]


class Scan(SimRequest):
    session_id: str
    qr: str | None = Field(None, description="The code as it was seen; a stale one is refused")


class Linked(Wire):
    success: bool = True
    session_id: str
    phone_number: str


class CodeEntry(SimRequest):
    code: str = Field(examples=["K7PM-3WXQ"])


class SessionChoice(SimRequest):
    session_id: str | None = Field(None, description="Without it all sessions of the phone")


class Changed(Wire):
    success: bool = True
    sessions: list[str]


class NewRestriction(SimRequest):
    kind: Literal["restricted", "banned"]
    until: datetime | None = Field(
        None, description="Then it ends by itself; UTC, if it names no zone"
    )
    detail: str | None = None


class AdminChange(SimRequest):
    is_admin: bool


class GroupChange(SimRequest):
    name: str | None = Field(None, min_length=1, max_length=100)
    announce_only: bool | None = None
    participants: int | None = Field(None, ge=0, le=2000)


class MessageChoice(SimRequest):
    message_id: str | None = None
    client_ref: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "MessageChoice":
        if (self.message_id is None) == (self.client_ref is None):
            raise ValueError("messageId or clientRef is needed, and not both")
        return self


class NewReceipts(MessageChoice):
    event: Literal["delivered", "read"]
    readers: int | list[str] = Field(1, description="A count, or numbers, LIDs and empty texts")
    anonymous: int = Field(0, ge=0, le=2000, description="So many more with an empty readerPhone")


class NewReaction(MessageChoice):
    emoji: str = Field(min_length=1, max_length=16)
    reactor: str = ""


class NewMessageError(MessageChoice):
    error_code: int = 420
    error_message: str = "rate-overlimit"


class Emitted(Wire):
    success: bool = True
    events: int


class Delivery(Wire):
    id: int
    group_jid: str
    phone: str
    session_id: str
    client_ref: str | None
    message_id: str
    text: str
    media_url: str | None
    media_type: str | None
    at: str


class Deliveries(Wire):
    deliveries: list[Delivery]
    next_after: int | None = Field(None, description="Ask on with `after` set to this")


class DeliveryCount(Wire):
    group_jid: str
    client_ref: str | None
    text: str | None
    copies: int


class DeliveryCounts(Wire):
    total: int
    counts: list[DeliveryCount]


class Rejections(Wire):
    message_ids: list[str]


class Fault(FaultRule):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"id": 1, "kind": "reset_after", "route": "send", "times": 2, "fired": 1, "left": 1}
            ]
        }
    )

    id: int
    seen: int
    fired: int
    left: int | None = Field(None, description="How often it will still fire, if that is known")


class FaultList(Wire):
    faults: list[Fault]


class Removed(Wire):
    success: bool = True
    removed: int


class Limits(SimRequest):
    in_flight: int | None = Field(
        None, ge=1, description="Requests at once; beyond it connections are reset"
    )


class TrafficReport(Wire):
    in_flight: int | None = Field(description="The cap")
    current: int
    peak: int
    peak_sends: int
    peak_sends_of_a_phone: int
    requests: int
    resets: int


class SimSession(Wire):
    session_id: str
    status: str
    phone: str | None
    reason: str | None
    since: str


class SimSessions(Wire):
    sessions: list[SimSession]


class Dialect(SimRequest):
    """Which of the contract's variants the gateway speaks; native where nothing is said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    qr_field: Literal["qr", "qrCode", "qrcode"] = "qr"
    qr_format: Literal["text", "data_url"] = "text"
    pending_word: Literal["qr_pending", "qr"] = "qr_pending"
    phone_format: Literal["plus", "digits", "jid"] = "plus"
    groups_shape: Literal["object", "list"] = "object"
    group_id: Literal["id", "jid", "groupId"] = "id"
    group_name: Literal["name", "subject"] = "name"
    group_size: Literal["participants", "list", "participantsCount", "size"] = "participants"
    group_admin: Literal["bool", "text", "number", "participants"] = "bool"
    group_invite: Literal["inviteLink", "invite_link", "inviteCode", "absent"] = "inviteLink"
    unknown_session: Literal["404", "disconnected"] = "404"
    sent: Literal["messageId", "key"] = "messageId"
    own_parts: bool = Field(
        True, description="false: no capabilities, no clientRef, nothing marked own"
    )
    webhooks: Literal["envelope", "paths"] = "envelope"
