"""The state machine of a message: facts and a time in, one change out. Pure.

Every change of a status in the product is computed here. ``TRANSITIONS`` is the whole diagram;
a test checks that no function answers with a step that is not in it.
"""

from groupline.messages.rules.answers import after_send, refused, upstream_words, withheld
from groupline.messages.rules.machine import (
    FINAL,
    IN_FLIGHT,
    NOTHING_LEFT,
    PRIORITIES,
    PRIORITY_CAMPAIGN,
    PRIORITY_EVENT,
    PRIORITY_NOW,
    REJECTED_LATER_CODE,
    TRANSITIONS,
    Action,
    Change,
    Facts,
    Hold,
    HoldReason,
    Later,
    Policy,
    Trouble,
)
from groupline.messages.rules.people import cancelled, resolved, sent_again
from groupline.messages.rules.reports import (
    after_evidence,
    after_failed_callback,
    after_rejection,
    arrived_although_replaced,
    rejection_words,
    superseded,
)
from groupline.messages.rules.silence import (
    NO_CALLBACK_CODE,
    after_deadline,
    after_lease,
    after_look,
    next_look,
    unclearly_reported,
    waited_in_vain,
)

__all__ = [
    "FINAL",
    "IN_FLIGHT",
    "NOTHING_LEFT",
    "NO_CALLBACK_CODE",
    "PRIORITIES",
    "PRIORITY_CAMPAIGN",
    "PRIORITY_EVENT",
    "PRIORITY_NOW",
    "REJECTED_LATER_CODE",
    "TRANSITIONS",
    "Action",
    "Change",
    "Facts",
    "Hold",
    "HoldReason",
    "Later",
    "Policy",
    "Trouble",
    "after_deadline",
    "after_evidence",
    "after_failed_callback",
    "after_lease",
    "after_look",
    "after_rejection",
    "after_send",
    "arrived_although_replaced",
    "cancelled",
    "next_look",
    "refused",
    "rejection_words",
    "resolved",
    "sent_again",
    "superseded",
    "unclearly_reported",
    "upstream_words",
    "waited_in_vain",
    "withheld",
]
