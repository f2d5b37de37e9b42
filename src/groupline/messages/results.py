"""What became of a claim."""

from dataclasses import dataclass

from groupline.gateways.outcomes import SendOutcome
from groupline.messages.claim import Claim
from groupline.messages.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Withheld:
    """The request was never written: it was too late for it, or the gateway has just changed."""

    why: str


@dataclass(frozen=True, slots=True)
class Result:
    claim: Claim
    outcome: SendOutcome | Withheld | Refusal
    roll: float
