"""What never leaves as it is."""

import pytest

from groupline.messages.refusals import (
    Target,
    content_refusal,
    refusal_of,
    target_refusal,
    unresolved_variables,
)

OPEN = Target(is_community=False, announce_only=False, is_member=True, is_admin=False)


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
    ("target", "code"),
    [
        (OPEN, None),
        (Target(True, False, True, True), "community_parent"),
        (Target(False, False, False, False), "not_a_member"),
        (Target(False, True, True, False), "admins_only"),
        (Target(False, True, True, True), None),
    ],
)
def test_groups_that_cannot_be_written_to(target: Target, code: str | None) -> None:
    refusal = target_refusal(target)
    assert (refusal.code if refusal else None) == code


def test_the_text_is_looked_at_before_the_group() -> None:
    refusal = refusal_of("{x}", Target(True, False, False, False), has_media=False)
    assert refusal is not None
    assert refusal.code == "unresolved_variable"
