"""What keeps a message from ever leaving as it is (rule 8). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from groupline.groups.rules import GroupFacts, MembershipFacts, sentence_for_number, unsendable
from groupline.messages.variables import fill, plain
from groupline.text import is_blank

_NAMED: Final = 5
"""So many of what is wrong with a text are named; the first ones lead to the others."""


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    sentence: str
    """For people."""


UNKNOWN_NUMBER: Final = Refusal("unknown_number", "There is no such number.")
UNKNOWN_GROUP: Final = Refusal("unknown_group", "There is no such group.")


def unresolved_variables(text: str) -> tuple[str, ...]:
    """Variables and what looks like one, as they stand in the text, each once."""
    return fill(text, {}).unresolved


def target_refusal(group: GroupFacts, membership: MembershipFacts | None) -> Refusal | None:
    """Why the number, which stands to the group like this, cannot write to it."""
    reason = unsendable(group, [membership] if membership is not None else [])
    if reason is None:
        return None
    return Refusal(reason.value, sentence_for_number(reason))


def content_refusal(content: str, *, has_media: bool) -> Refusal | None:
    """Why the text cannot go out as it is."""
    if not has_media and is_blank(plain(content)):
        return Refusal("no_content", "The message is empty.")
    left = unresolved_variables(content)
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        sentence = f"The text still contains {', '.join(left[:_NAMED])}{more}."
        return Refusal("unresolved_variable", rf"{sentence} For a brace itself, write \{{ or \}}.")
    return None


def refusal_of(
    content: str, group: GroupFacts, membership: MembershipFacts | None, *, has_media: bool
) -> Refusal | None:
    return content_refusal(content, has_media=has_media) or target_refusal(group, membership)
