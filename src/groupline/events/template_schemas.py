"""What the use cases of templates take and give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from groupline.errors import InvalidInput
from groupline.messages.variables import Problem, scan
from groupline.models import MediaType

MAX_TEMPLATE_NAME = 100


@dataclass(frozen=True, slots=True)
class TemplateInput:
    """What a person says about a template. Media was looked at before."""

    name: str
    content: str
    media_url: str | None = None
    media_type: MediaType | None = None


@dataclass(frozen=True, slots=True)
class NamedRow:
    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class TemplateView:
    id: UUID
    name: str
    content: str
    media_url: str | None
    media_type: MediaType | None
    created_at: datetime
    updated_at: datetime
    sequences: tuple[NamedRow, ...] = ()
    """Those that send it."""

    @property
    def variables(self) -> tuple[str, ...]:
        return scan(self.content).names

    @property
    def input(self) -> TemplateInput:
        return TemplateInput(self.name, self.content, self.media_url, self.media_type)


class ContentProblems(InvalidInput):
    """There are braces in a text that are no variables; nothing was written."""

    code, title = "text_problems", "Something in the text is no variable"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        more = f" And {len(self.problems) - 1} more." if len(self.problems) > 1 else ""
        said = f"Line {first.line}: {first.sentence}{more}"
        super().__init__(said, fields={"content": said})
        self.extra["problems"] = [problem_json(each) for each in self.problems]


def problem_json(problem: Problem) -> dict[str, str | int | None]:
    return {
        "kind": problem.kind,
        "text": problem.text,
        "line": problem.line,
        "column": problem.column,
        "start": problem.start,
        "end": problem.end,
        "sentence": problem.sentence,
        "suggestion": problem.suggestion,
    }
