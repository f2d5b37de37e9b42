"""What people read about outcomes: one sentence per reason. A test holds the tables complete."""

from collections.abc import Mapping
from typing import Final

from groupline.gateways.outcomes import NotSentReason, UncertainReason

LEASE_ENDED: Final = "The request was started, but Groupline could not record what came of it."
"""Its worker ended, was cut off from the database, or took longer than its lease: the same here."""
LEASE_ENDED_WORDS: Final = frozenset(
    (LEASE_ENDED, "The request was started, and the worker ended before there was an answer.")
)
"""As the journal has it, from earlier versions too."""
NO_CALLBACK: Final = "The gateway took the message, and has not reported what became of it."
REPORT_UNCLEAR: Final = (
    "The gateway took the message. A report came that may be about it, and does not say so clearly."
)
PROVEN_UNSENT: Final = "The gateway says that the message was not sent."
EXPIRED: Final = "The message did not leave before its time was over."
REJECTED_LATER: Final = "WhatsApp rejected the message after the gateway had sent it."
REJECTED_ALTHOUGH_RECEIVED: Final = (
    "The gateway reported that WhatsApp rejected it. Somebody has received it, and that counts."
)
SUPERSEDED: Final = "An earlier message with the same text, called off before, arrived after all."

NOT_SENT: Final[Mapping[NotSentReason, str]] = {
    NotSentReason.UNREACHABLE: "The gateway cannot be reached.",
    NotSentReason.TIMEOUT_BEFORE_WRITE: "The gateway did not take a connection in time.",
    NotSentReason.POOL_EXHAUSTED: "All connections to the gateway were busy.",
    NotSentReason.NOT_CONNECTED: "The gateway says that the number is not connected.",
    NotSentReason.UNAUTHORIZED: "The gateway refuses our key.",
    NotSentReason.RATE_LIMITED: "The gateway asks to send more slowly.",
    NotSentReason.RESTRICTED: "WhatsApp restricts what this number may send.",
    NotSentReason.REJECTED: "The gateway could not send the message.",
    NotSentReason.NOT_IN_GROUP: "The gateway says that the number is not in this group.",
    NotSentReason.NOT_ALLOWED: "The number may not write in this group.",
    NotSentReason.BAD_REQUEST: "The gateway refuses the content of the message.",
    NotSentReason.ROUTE_MISSING: "The gateway's address does not lead to a gateway that can send.",
}

UNCERTAIN: Final[Mapping[UncertainReason, str]] = {
    UncertainReason.NO_ANSWER: "The gateway did not answer in time.",
    UncertainReason.CONNECTION_LOST: "The connection broke after the request was written.",
    UncertainReason.SERVER_ERROR: (
        "The gateway failed without saying whether it had sent the message."
    ),
    UncertainReason.UNCONFIRMED: "WhatsApp has not confirmed it, so it may have arrived.",
    UncertainReason.MALFORMED: "The gateway's answer cannot be understood.",
    UncertainReason.NO_EVIDENCE: "The gateway claims success and names no message.",
    UncertainReason.CONTRADICTION: "The gateway's answer contradicts itself.",
    UncertainReason.REFERENCE_USED: (
        "The gateway was given this message before, with another text: that one may have arrived."
    ),
    UncertainReason.UNEXPECTED: "The request failed in a way that proves nothing.",
}
