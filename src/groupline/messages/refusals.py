"""What keeps a message from ever leaving as it is (rule 8). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from groupline.text import is_blank

RefusalCode = Literal[
    "unresolved_variable",
    "no_content",
    "community_parent",
    "not_a_member",
    "admins_only",
]

_VARIABLE: Final = re.compile(r"\{\s*([A-Za-z_][A-Za-z0-9_.-]{0,63})\s*\}")


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
    """The names in ``{braces}``, each once, in the order of the text."""
    return tuple(dict.fromkeys(_VARIABLE.findall(text)))


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
    if not has_media and is_blank(content):
        return Refusal("no_content", "The message is empty.")
    names = unresolved_variables(content)
    if names:
        listed = ", ".join(f"{{{name}}}" for name in names)
        return Refusal("unresolved_variable", f"The text still contains {listed}.")
    return None


def refusal_of(content: str, target: Target, *, has_media: bool) -> Refusal | None:
    return content_refusal(content, has_media=has_media) or target_refusal(target)
