"""The text of a campaign: which variables it has by itself, and one text per group. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from groupline.errors import InvalidInput
from groupline.messages.schemas import RefusedGroup, SendableGroup
from groupline.messages.variables import fill, plain, scan, suggest
from groupline.text import check_text, is_blank

MAX_CONTENT: Final = 65_536
_NAMED: Final = 5

BUILTIN: Final[Mapping[str, str]] = {
    "organization": "The name of your organization",
    "group_name": "The name of the group that the message goes to (needs a name)",
}
"""A campaign is about no event, so these are all: whatever else is in braces is refused."""


def check_content(text: str) -> str:
    """The text with its variables, which all exist. Raises ``InvalidInput`` that names the rest."""
    content = check_text(text, field="content", what="message")
    if len(content) > MAX_CONTENT:
        raise _invalid(f"At most {MAX_CONTENT:,} characters.")
    unresolved = fill(content, dict.fromkeys(BUILTIN, "")).unresolved
    if not unresolved:
        return content
    found = scan(content)
    sentences = _unknown([name for name in found.names if name not in BUILTIN])
    sentences += [problem.sentence for problem in found.problems]
    more = f" And {len(sentences) - _NAMED} more." if len(sentences) > _NAMED else ""
    error = _invalid(" ".join(sentences[:_NAMED]) + more)
    error.extra["unresolved"] = list(unresolved)
    raise error


def _unknown(names: Sequence[str]) -> list[str]:
    """Those that are like one that exists, each with it, and all others in one sentence."""
    meant = {name: suggest(name, BUILTIN) for name in names}
    sentences = [
        f"{{{name}}} has no value in a campaign. Did you mean {{{known}}}?"
        for name, known in meant.items()
        if known
    ]
    others = [f"{{{name}}}" for name, known in meant.items() if not known]
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        verb = "has" if len(others) == 1 else "have"
        named = ", ".join(others[:_NAMED])
        sentences.append(f"{named}{more} {verb} no value in a campaign. There are {_LISTED}.")
    return sentences


_LISTED: Final = " and ".join(f"{{{name}}}" for name in BUILTIN)


def is_empty(content: str) -> bool:
    return is_blank(plain(content))


_PLACE: Final = "\ue000"
"""Stands for the name of the group while the text around it is made: a character of no script."""
_OF_THE_GRAMMAR: Final = frozenset("\\{}" + _PLACE)


class Texts:
    """The text for each group. What is the same for all of them is made once."""

    def __init__(self, content: str, organization: str) -> None:
        self._content = content
        self._organization = organization
        self._names_group = "group_name" in scan(content).names
        self._pattern = self._filled(_PLACE)

    def of(self, group: SendableGroup) -> str:
        """Still in the grammar of texts, as the outbox stores them."""
        if not self._names_group:
            return self._pattern
        name = group.name or ""
        if not name or _PLACE in self._content or not _OF_THE_GRAMMAR.isdisjoint(name):
            return self._filled(name)
        return self._pattern.replace(_PLACE, name)

    def refusal_of(self, group: SendableGroup) -> RefusedGroup | None:
        """Why the group cannot get this campaign."""
        if group.refusal is not None:
            return RefusedGroup(group.id, group.name, group.refusal_code or "", group.refusal)
        if self._names_group and not group.name:
            why = "The text says {group_name}, and this group has no name."
            return RefusedGroup(group.id, group.name, "unresolved_variable", why)
        return None

    def _filled(self, group_name: str) -> str:
        values = {"organization": self._organization}
        if group_name:
            values["group_name"] = group_name
        return fill(self._content, values).text


def _invalid(why: str) -> InvalidInput:
    return InvalidInput(why, fields={"content": why})
