"""The diagram that people read is the one that the code follows."""

import re
from pathlib import Path

from groupline.messages.rules import TRANSITIONS

DOCUMENT = Path(__file__).parents[3] / "docs" / "message-lifecycle.md"


def test_the_diagram_of_the_documentation_is_the_one_of_the_rules() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)(?::|$)", DOCUMENT.read_text(), re.MULTILINE))
    assert drawn == {(before, after) for before, ends in TRANSITIONS.items() for after in ends}
