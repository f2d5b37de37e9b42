"""One text per group, and nothing in braces that has no value."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.campaigns.content import Texts, check_content, is_empty
from groupline.errors import InvalidInput
from groupline.messages.schemas import SendableGroup
from groupline.messages.variables import fill, plain


def group(name: str | None = "Pottery", refusal: str | None = None) -> SendableGroup:
    code = "not_a_member" if refusal else None
    return SendableGroup(uuid4(), "1@g.us", name, 3, refusal, code)


def test_each_group_gets_its_own_text() -> None:
    texts = Texts("{organization} to {group_name}", "Bright Path")
    assert texts.of(group("Pottery")) == "Bright Path to Pottery"
    assert texts.of(group("Yoga")) == "Bright Path to Yoga"


def test_braces_in_a_name_are_only_braces() -> None:
    written = Texts("Hello {group_name}", "O").of(group("{zoom_link}"))
    assert plain(written) == "Hello {zoom_link}"
    assert check_content(written) == written, "the last guard lets it pass"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Join {zoom_link}", "{zoom_link}"),
        ("Join {zoom link}", "{zoom link}"),
        ("Join {{zoom}}", "{{zoom}}"),
        ("Hi {Group_Name}", "{Group_Name}"),
        ("Hi {group_name", "{group_name"),
    ],
)
def test_what_has_no_value_is_named(text: str, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_content(text)
    assert named in refused.value.extra["unresolved"]
    assert "content" in refused.value.fields


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(InvalidInput, match=r"Did you mean \{group_name\}"):
        check_content("Hi {groupname}")


def test_a_group_without_a_name_cannot_get_a_text_that_says_it() -> None:
    refused = Texts("Hi {group_name}", "O").refusal_of(group(None))
    assert refused is not None
    assert refused.code == "unresolved_variable"
    assert Texts("Hi", "O").refusal_of(group(None)) is None


def test_a_group_that_cannot_be_written_to_says_why() -> None:
    refused = Texts("Hi", "O").refusal_of(group(refusal="The number is not in this group."))
    assert refused is not None
    assert refused.reason == "The number is not in this group."


def test_what_nobody_would_see_is_empty() -> None:
    assert is_empty(" \n\u200b")
    assert not is_empty("{group_name}")


parts = st.sampled_from(["{group_name}", "{organization}", r"\{", r"\\", "\\", " ", "Hi", "\ue000"])


@given(st.lists(parts).map("".join), st.sampled_from(["Yoga", "{x}", "a\\", "\\{", "\ue000"]))
def test_a_text_made_in_parts_is_the_text_that_the_grammar_makes(content: str, name: str) -> None:
    values = {"organization": "O{", "group_name": name}
    assert Texts(content, "O{").of(group(name)) == fill(content, values).text


def test_variables_that_a_campaign_does_not_have_are_named_together() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_content("{event_title} at {event_time}, {groupname}: {zoom_link}")
    assert refused.value.detail == (
        "{groupname} has no value in a campaign. Did you mean {group_name}? "
        "{event_title}, {event_time}, {zoom_link} have no value in a campaign. "
        "There are {organization} and {group_name}."
    )
