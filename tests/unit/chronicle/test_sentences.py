"""Every action that the code records has a sentence for people, and every sentence a section."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import groupline
from groupline.chronicle.sentences import (
    CAMPAIGN_ENDS,
    SECTIONS,
    SENTENCES,
    note_of,
    sentence_of,
)
from groupline.groups.rules import MemberChange
from groupline.models import CampaignStatus

ROOT = Path(groupline.__file__).parent
SHAPE = re.compile(r"[a-z_]+\.[a-z_]+")
NOT_ACTIONS = re.compile(
    r".*\.(html|id|organization_id|lock)"  # templates, columns, files
    r"|groupline\..*|uvicorn\..*|http\..*|webhook\.test"
    r"|gateway\.(reachable|refused|unreachable)|campaign\.failed"  # kinds of alerts
)
MADE_OF_PARTS = {f"group.{change.value}" for change in MemberChange}
# Findings of the doctor are facts of `doctor.fixed`.
WITHOUT_ACTIONS = ("doctor", "cli", "chronicle")


def literals(path: Path) -> Iterator[str]:
    """Texts that look like actions, but for the names of lines in the log."""
    tree = ast.parse(path.read_text())
    logged = {
        id(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and node.args
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("log", "logger")
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in logged:
            continue
        if isinstance(node.value, str) and SHAPE.fullmatch(node.value):
            yield node.value


def recorded() -> set[str]:
    """The actions that the code can write, as far as its text tells."""
    found = set(MADE_OF_PARTS) | {"doctor.fixed"}
    for path in ROOT.rglob("*.py"):
        package = path.relative_to(ROOT).parts[0]
        if package not in WITHOUT_ACTIONS and "migrations" not in path.parts:
            found |= {each for each in literals(path) if not NOT_ACTIONS.fullmatch(each)}
    return found


def test_every_action_that_is_recorded_has_its_sentence() -> None:
    assert sorted(recorded() - set(SENTENCES)) == []


def test_every_sentence_is_of_an_action_that_is_recorded() -> None:
    assert sorted(set(SENTENCES) - recorded()) == []


def test_every_action_is_in_one_section() -> None:
    beginnings = [each for _, found in SECTIONS.values() for each in found]
    assert len(beginnings) == len(set(beginnings))
    assert {action.partition(".")[0] for action in SENTENCES} == set(beginnings)


@pytest.mark.parametrize("action", SENTENCES)
def test_a_sentence_needs_no_fact_to_be_there(action: str) -> None:
    said = sentence_of(action, "the studio", {})
    assert said
    assert "{" not in said


def test_facts_are_filled_in() -> None:
    data = {"savedCount": 27, "vpsCount": 28}
    said = sentence_of("groups.synced", "Front desk", data)
    assert said == "The groups of Front desk were synced: 27 of 28 saved"


@pytest.mark.parametrize(
    ("outcome", "word"), [("arrived", "it arrived"), ("not_arrived", "it did not arrive")]
)
def test_what_a_person_decided_is_told_in_plain_words(outcome: str, word: str) -> None:
    said = sentence_of("message.resolved", "Pottery", {"outcome": outcome})
    assert said == f"The fate of the message to Pottery was decided: {word}"


@pytest.mark.parametrize("end", [*CAMPAIGN_ENDS])
def test_the_end_of_a_campaign_is_called_as_the_pages_call_it(end: str) -> None:
    badges = (ROOT / "web/templates/components/badge.html").read_text()
    shown = re.search(rf'"{end}": \("\w+", "[\w-]+", "(.+)"\)', badges)
    assert shown is not None
    word = shown[1].lower()
    finished = sentence_of("campaign.finished", "Spring", {"status": end})
    assert finished == f"The campaign Spring ended: {word}"
    revised = sentence_of("campaign.revised", "Spring", {"status": end})
    assert revised == f"The result of the campaign Spring was corrected: {word}"


def test_every_end_of_a_campaign_has_its_word() -> None:
    goes_on = {"draft", "scheduled", "sending", "paused"}
    assert set(CAMPAIGN_ENDS) == set(get_args(CampaignStatus)) - goes_on


def test_an_action_of_another_version_shows_as_its_own_words() -> None:
    assert sentence_of("robot.was_fed", "Robbie", {}) == "Robot: was fed (Robbie)"


def test_a_fact_that_looks_like_a_pattern_stays_what_it_is() -> None:
    said = sentence_of("group.renamed", "{subject}", {"from": "{x}", "to": "{0.__class__}"})
    assert said == "The group {x} is called {0.__class__} now"


def test_the_reason_is_told_in_the_words_of_whoever_gave_it() -> None:
    assert note_of({"reason": "x", "detail": "The phone was logged out."}) == (
        "The phone was logged out."
    )
    assert note_of({"detail": None}) is None
