"""What a person reads when a run is refused for want of values."""

from uuid import UUID

import pytest

from groupline.events.schemas import Unresolved
from groupline.events.texts import UnresolvedVariables

LINK = "{link} has no value. It stands in “Reminder”, in the"


def lacking(name: str, step: str, template: str = "Reminder") -> Unresolved:
    return Unresolved(
        text=f"{{{name}}}",
        sentence=f"{{{name}}} has no value.",
        step_id=UUID(int=len(step)),
        step=step,
        template_id=UUID(int=len(template)),
        template=template,
        variable=name,
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([("link", "One")], f"{LINK} step “One”."),
        ([("link", "One"), ("link", "Two")], f"{LINK} steps “One” and “Two”."),
        ([("link", "One"), ("link", "Two", "Other")], f"{LINK} step “One”."),
        (
            [("link", step) for step in ("One", "Two", "Three", "Four", "Five")],
            f"{LINK} steps “One”, “Two”, “Three” and 2 more.",
        ),
        (
            [("link", "One"), ("host", "One"), ("room", "Two"), ("link", "Two")],
            f"{LINK} steps “One” and “Two”. To put right too: {{host}} and {{room}}.",
        ),
    ],
)
def test_the_sentence_names_each_thing_once_with_its_steps(
    found: list[tuple[str, ...]], said: str
) -> None:
    refused = UnresolvedVariables(lacking(*each) for each in found)
    assert refused.detail == f"Nothing was scheduled. {said}"
