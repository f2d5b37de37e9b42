"""All tables, one file per aggregate, and the closed vocabularies of their columns."""

from groupline.models.base import Base
from groupline.models.campaigns import CampaignGroup, CampaignStatus, NotificationCampaign
from groupline.models.events import (
    Event,
    EventGroup,
    EventKind,
    EventStatus,
    EventVariable,
    Preflight,
    PreflightPoint,
)
from groupline.models.gateways import (
    Gateway,
    GatewayKind,
    InboundEvent,
    InboundKind,
    InboundOutcome,
)
from groupline.models.groups import WhatsappGroup, WhatsappMembership
from groupline.models.journal import ActorKind, JournalEntry, JournalReader
from groupline.models.leases import Lease
from groupline.models.messages import (
    MessageReceipt,
    MessageStatus,
    ReceiptKind,
    ScheduledWhatsappMessage,
)
from groupline.models.numbers import (
    EndedReason,
    PendingLogout,
    SessionObstacle,
    SessionStatus,
    StatusSource,
    WhatsappNumber,
    WhatsappSession,
)
from groupline.models.organizations import (
    ApiKey,
    IdempotencyKey,
    Organization,
    OrganizationMember,
    Role,
    Scope,
)
from groupline.models.outgoing import (
    Alert,
    AlertChannel,
    AlertDelivery,
    DeliveryStatus,
    WebhookDelivery,
    WebhookEndpoint,
)
from groupline.models.templates import MediaType, Sequence, SequenceStep, Template
from groupline.models.users import Login, LoginAttempt, SetupLink, SetupPurpose, User

__all__ = [
    "ActorKind",
    "Alert",
    "AlertChannel",
    "AlertDelivery",
    "ApiKey",
    "Base",
    "CampaignGroup",
    "CampaignStatus",
    "DeliveryStatus",
    "EndedReason",
    "Event",
    "EventGroup",
    "EventKind",
    "EventStatus",
    "EventVariable",
    "Gateway",
    "GatewayKind",
    "IdempotencyKey",
    "InboundEvent",
    "InboundKind",
    "InboundOutcome",
    "JournalEntry",
    "JournalReader",
    "Lease",
    "Login",
    "LoginAttempt",
    "MediaType",
    "MessageReceipt",
    "MessageStatus",
    "NotificationCampaign",
    "Organization",
    "OrganizationMember",
    "PendingLogout",
    "Preflight",
    "PreflightPoint",
    "ReceiptKind",
    "Role",
    "ScheduledWhatsappMessage",
    "Scope",
    "Sequence",
    "SequenceStep",
    "SessionObstacle",
    "SessionStatus",
    "SetupLink",
    "SetupPurpose",
    "StatusSource",
    "Template",
    "User",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WhatsappGroup",
    "WhatsappMembership",
    "WhatsappNumber",
    "WhatsappSession",
]
