"""What keeps a message from ever leaving as it is (rule 8). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from groupline.messages.variables import fill, plain
from groupline.text import is_blank

RefusalCode = Literal[
    "unresolved_variable",
    "no_content",
    "community_parent",
    "not_a_member",
    "admins_only",
]

_NAMED: Final = 5
"""So many of what is wrong with a text are named; the first ones lead to the others."""


@dataclass(frozen=True, slots=True)
class Refusal:
    code: RefusalCode
    sentence: str


@dataclass(frozen=True, slots=True)
class Target:
    """A group, as the number that sends stands to it."""

    is_community: bool
    announce_only: bool
    is_member: bool
    is_admin: bool


def unresolved_variables(text: str) -> tuple[str, ...]:
    """Variables and what looks like one, as they stand in the text, each once."""
    return fill(text, {}).unresolved


def target_refusal(target: Target) -> Refusal | None:
    """Why the number cannot write to the group."""
    if target.is_community:
        return Refusal("community_parent", "This is a community; messages go to the groups in it.")
    if not target.is_member:
        return Refusal("not_a_member", "The number is not in this group.")
    if target.announce_only and not target.is_admin:
        return Refusal("admins_only", "Only admins may write in this group.")
    return None


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


def refusal_of(content: str, target: Target, *, has_media: bool) -> Refusal | None:
    return content_refusal(content, has_media=has_media) or target_refusal(target)
