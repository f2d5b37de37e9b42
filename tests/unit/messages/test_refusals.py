"""What never leaves as it is."""

import pytest

from groupline.groups.rules import GroupFacts, MembershipFacts
from groupline.messages.refusals import (
    content_refusal,
    refusal_of,
    target_refusal,
    unresolved_variables,
)

OPEN = GroupFacts(is_community=False, is_community_announce=False, announce_only=False)
PARENT = GroupFacts(is_community=True, is_community_announce=False, announce_only=False)
ANNOUNCE = GroupFacts(is_community=False, is_community_announce=True, announce_only=False)
ADMINS_ONLY = GroupFacts(is_community=False, is_community_announce=False, announce_only=True)
MEMBER = MembershipFacts(is_active=True, is_admin=False)
ADMIN = MembershipFacts(is_active=True, is_admin=True)
GONE = MembershipFacts(is_active=False, is_admin=True)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hello", ()),
        ("Hello {first_name}", ("{first_name}",)),
        ("{a} and { b } and {a}", ("{a}", "{ b }")),
        ("{zoom link} {{zoom}} {Zoom_Link}", ("{zoom link}", "{{zoom}}", "{Zoom_Link}")),
        ("Join {zoom_link", ("{zoom_link",)),
        (r"a bit of code: \{x\}", ()),
    ],
)
def test_what_is_left_in_braces(text: str, left: tuple[str, ...]) -> None:
    assert unresolved_variables(text) == left


def test_a_text_with_a_variable_names_it() -> None:
    refusal = content_refusal("Hi {name}", has_media=False)
    assert refusal is not None
    assert refusal.code == "unresolved_variable"
    assert "{name}" in refusal.sentence


def test_a_text_with_many_variables_names_the_first() -> None:
    refusal = content_refusal("".join(f"{{n{n}}}" for n in range(9)), has_media=False)
    assert refusal is not None
    assert "{n0}, {n1}, {n2}, {n3}, {n4} and 4 more" in refusal.sentence


def test_an_empty_text_needs_media() -> None:
    refusal = content_refusal("  \n", has_media=False)
    assert refusal is not None
    assert refusal.code == "no_content"
    assert content_refusal("", has_media=True) is None


@pytest.mark.parametrize(
    ("group", "membership", "code"),
    [
        (OPEN, MEMBER, None),
        (OPEN, None, "not_a_member"),
        (OPEN, GONE, "not_a_member"),
        (PARENT, ADMIN, "community_parent"),
        (ADMINS_ONLY, MEMBER, "admins_only"),
        (ADMINS_ONLY, ADMIN, None),
        (ANNOUNCE, MEMBER, "admins_only"),
        (ANNOUNCE, ADMIN, None),
    ],
)
def test_groups_that_cannot_be_written_to(
    group: GroupFacts, membership: MembershipFacts | None, code: str | None
) -> None:
    refusal = target_refusal(group, membership)
    assert (refusal.code if refusal else None) == code


def test_what_is_said_is_about_the_one_number() -> None:
    refusal = target_refusal(OPEN, GONE)
    assert refusal is not None
    assert refusal.sentence == "The number is not in this group."


def test_the_text_is_looked_at_before_the_group() -> None:
    refusal = refusal_of("{x}", PARENT, None, has_media=False)
    assert refusal is not None
    assert refusal.code == "unresolved_variable"
