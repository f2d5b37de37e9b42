"""Messages as commands print them: a few lines each for people, facts for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from groupline.cli.output import one_line, paragraph, table, terminal_width
from groupline.gateways.phone import display_phone
from groupline.messages.attempts import speaker
from groupline.messages.schemas import MessageView
from groupline.messages.shown import Shown
from groupline.messages.story import Chapter
from groupline.messages.variables import plain

ShownMessage = tuple[MessageView, Shown]
_INDENT: Final = "    "
_BEGINNING: Final = 60
"""So much of a text tells messages from each other, where no terminal says how much there is room
for."""


def facts(view: MessageView, state: Shown) -> dict[str, Any]:
    return {
        "id": view.id,
        "status": view.status,
        "state": state.state,
        "sentence": state.sentence,
        "group": view.group_name,
        "groupJid": view.group_jid,
        "number": view.phone_number,
        "content": view.content,
        "scheduledFor": view.scheduled_for,
        "sentAt": view.sent_at,
        "nextAttemptAt": state.next_attempt_at,
        "retryCount": view.attempts,
        "gatewayMessageId": view.gateway_message_id,
        "errorCode": view.error_code,
        "errorMessage": view.error_message,
        "vpsError": view.vps_error,
    }


def history(story: Sequence[Chapter]) -> list[dict[str, Any]]:
    """As the API has it."""
    return [_camel(asdict(each)) | {"data": dict(each.data)} for each in story]


def _camel(names: Mapping[str, Any]) -> dict[str, Any]:
    return {
        _camel_word(name): _camel(value) if isinstance(value, dict) else value
        for name, value in names.items()
    }


def _camel_word(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


@dataclass(frozen=True, slots=True)
class Writer:
    """For people: times in the zone of the organization, lines as wide as the terminal."""

    zone: ZoneInfo
    width: int | None

    def listing(self, views: Sequence[ShownMessage]) -> str:
        """The id comes first, because people copy it."""
        if not views:
            return "No messages."
        heads = self._heads(views)
        lines = [next(heads)]
        for head, (view, state) in zip(heads, views, strict=True):
            text = one_line(plain(view.content), None if self.width else _BEGINNING)
            said = f"{self._way(view)}: {text or '(no text)'}"
            lines += [head, self._line(said), self._words(state.sentence)]
            if view.vps_error:
                lines.append(self._line(f"{speaker(view.error_code)}: {view.vps_error}"))
        return "\n".join(lines)

    def story(self, shown: ShownMessage, story: Sequence[Chapter]) -> str:
        view, state = shown
        text = plain(view.content) or "(no text)"
        lines = [
            *self._heads([shown]),
            self._line(self._way(view)),
            self._words(state.sentence),
            *self._untold(view, story),
            "",
            paragraph(text, indent=f"{_INDENT}> ", width=self.width),
        ]
        for each in story:
            lines += ["", *self._chapter(each)]
        return "\n".join(lines)

    def _heads(self, views: Sequence[ShownMessage]) -> Iterator[str]:
        rows = [[str(view.id), state.state, self._moment(view.time)] for view, state in views]
        return iter(table([["ID", "STATE", "TIME"], *rows]).split("\n"))

    def _untold(self, view: MessageView, story: Sequence[Chapter]) -> Iterator[str]:
        """The journal may be shorter than the life of the message."""
        if view.vps_error and view.vps_error not in {each.upstream for each in story}:
            yield self._words(f"{speaker(view.error_code)}: {view.vps_error}")

    def _chapter(self, each: Chapter) -> Iterator[str]:
        by = one_line(each.by)
        yield f"{self._moment(each.at, '%d %b %Y %H:%M:%S %Z')}  {each.title} ({by})"
        if each.text:
            yield self._words(each.text)
        if each.upstream:
            yield self._words(f"{each.speaker}: {each.upstream}")
        if each.evidence and each.evidence.message_id:
            again = ", sent before" if each.evidence.existing else ""
            proof = f"{each.evidence.word}{again}"
            yield self._words(f"Id at WhatsApp: {each.evidence.message_id} ({proof})")
        if each.attempt:
            begun = each.attempt.started_at
            parts = (
                f"Attempt {each.attempt.number:,}",
                f"begun at {self._moment(begun, '%H:%M:%S')}" if begun else None,
                each.attempt.took,
            )
            yield self._line(", ".join(filter(None, parts)))

    @staticmethod
    def _way(view: MessageView) -> str:
        return f"{display_phone(view.phone_number)} → {view.group_name or view.group_jid}"

    def _moment(self, at: datetime, pattern: str = "%d %b %Y %H:%M %Z") -> str:
        return at.astimezone(self.zone).strftime(pattern)

    def _line(self, text: str) -> str:
        room = None if self.width is None else max(self.width - len(_INDENT), 20)
        return _INDENT + one_line(text, room)

    def _words(self, text: str) -> str:
        return paragraph(text, indent=_INDENT, width=self.width)


def writer(timezone: str) -> Writer:
    return Writer(ZoneInfo(timezone), terminal_width())
