"""Which changes to people and organizations are allowed."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOW

from groupline.errors import Conflict, Forbidden, InvalidInput
from groupline.orgs.rules import (
    ATTEMPT_WINDOW,
    SLUG_MAX,
    Role,
    check_all,
    check_member_change,
    check_owner_stays,
    check_password,
    check_slug,
    check_timezone,
    clean_email,
    clean_name,
    free_slug,
    is_due,
    seconds_to_wait,
    slug_of,
    timezone_names,
)

NOT_OWNERS = [None, Role.ADMIN, Role.OPERATOR, Role.VIEWER]


@pytest.mark.parametrize("by", NOT_OWNERS)
@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (Role.OWNER, None),
        (Role.OWNER, Role.ADMIN),
        (Role.OWNER, Role.OWNER),
        (None, Role.OWNER),
        (Role.ADMIN, Role.OWNER),
    ],
)
def test_only_owners_touch_owners(by: Role | None, held: Role | None, wanted: Role | None) -> None:
    with pytest.raises(Forbidden):
        check_member_change(by, held=held, wanted=wanted)
    check_member_change(Role.OWNER, held=held, wanted=wanted)


@pytest.mark.parametrize("by", NOT_OWNERS)
def test_others_may_be_changed_by_whoever_manages_members(by: Role | None) -> None:
    check_member_change(by, held=Role.ADMIN, wanted=Role.VIEWER)
    check_member_change(by, held=None, wanted=Role.ADMIN)
    check_member_change(by, held=Role.VIEWER, wanted=None)


@pytest.mark.parametrize("wanted", [None, Role.ADMIN, Role.OPERATOR, Role.VIEWER])
def test_the_last_owner_stays(wanted: Role | None) -> None:
    with pytest.raises(Conflict):
        check_owner_stays(held=Role.OWNER, wanted=wanted, owners=1)
    check_owner_stays(held=Role.OWNER, wanted=wanted, owners=2)
    check_owner_stays(held=Role.OWNER, wanted=Role.OWNER, owners=1)
    check_owner_stays(held=Role.ADMIN, wanted=wanted, owners=1)


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("Person@Example.ORG", "person@example.org"),
        ("  person@example.org ", "person@example.org"),
        ("STRASSE@example.org", "strasse@example.org"),
        ("straße@example.org", "strasse@example.org"),
        ("person+tag@localhost", "person+tag@localhost"),
        ("person@example.org", "person@example.org"),  # full-width letters
    ],
)
def test_one_person_is_one_address_however_it_is_typed(text: str, email: str) -> None:
    assert clean_email(text) == email


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "person", "@example.org", "person@", "a b@example.org", "a@b@c", "a@b..c"),
        *("a@.b", "a@b.", "a@exa\nmple.org", "a\x00@b.org", "x" * 250 + "@example.org"),
    ],
)
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_email(text)
    assert list(refused.value.fields) == ["email"]


@given(st.text(max_size=40))
def test_an_address_is_stable_and_lower_case_or_refused(text: str) -> None:
    try:
        email = clean_email(f"{text}@example.org")
    except InvalidInput:
        return
    assert clean_email(email) == email == email.lower()


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short pwd", "at least 10"),
        ("x" * 9, "at least 10"),
        ("ab" * 513, "more than 1024"),
        ("Person@Example.org", "email"),
        ("aaaaaaaaaaaa", "repeats"),
        ("abababababab", "repeats"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(password: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        check_password(password, email="person@example.org")
    assert list(refused.value.fields) == ["password"]
    assert password not in str(refused.value.problem())


@pytest.mark.parametrize("password", ["ten chars!", "abc" + "x" * 1021, "pässwörter sind lang"])
def test_long_enough_is_good_enough(password: str) -> None:
    assert check_password(password, email="person@example.org") == password


def test_names_are_one_visible_line() -> None:
    assert clean_name("  Morning\n\tWorkshops ") == "Morning Workshops"
    for bad in ("", "   ", "a\x00b", "x" * 121, "\ud800"):
        with pytest.raises(InvalidInput):
            clean_name(bad)


def test_a_name_that_is_wrong_is_reported_under_its_field() -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_name("", field="organizationName")
    assert list(refused.value.fields) == ["organizationName"]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Morning Workshops", "morning-workshops"),
        ("  Ümläute & Co. ", "umlaute-co"),
        ("कोडिंग क्लब", "organization"),
        ("---", "organization"),
    ],
)
def test_a_short_name_is_made_from_the_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@given(st.text(max_size=200), st.integers(0, 30))
def test_a_made_short_name_is_valid_and_free(name: str, taken: int) -> None:
    used = [slug_of(name)] + [f"{slug_of(name)}-{n}" for n in range(2, taken)]
    slug = free_slug(slug_of(name), used)
    assert check_slug(slug) == slug
    assert slug not in used


@pytest.mark.parametrize("slug", ["", "A", "a_b", "-a", "a-", "a--b", "a b", "x" * (SLUG_MAX + 1)])
def test_a_short_name_of_another_shape_is_refused(slug: str) -> None:
    with pytest.raises(InvalidInput):
        check_slug(slug)


def test_time_zones_are_places() -> None:
    assert check_timezone("Asia/Kolkata") == "Asia/Kolkata"
    for bad in ("", "Mars/Olympus", "../etc/passwd", "+05:30"):
        with pytest.raises(InvalidInput):
            check_timezone(bad)


def test_the_list_of_time_zones_offers_places_and_the_present_choice() -> None:
    names = timezone_names()
    assert {"UTC", "Asia/Kolkata", "America/New_York"} <= set(names)
    assert "Etc/GMT+5" not in names
    assert "Etc/GMT+5" in timezone_names("Etc/GMT+5")
    assert "nowhere" not in timezone_names("nowhere")


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_all(lambda: clean_email("x"), lambda: clean_name("fine"), lambda: check_timezone("x"))
    assert set(refused.value.fields) == {"email", "timezone"}
    check_all(lambda: clean_name("fine"))


def test_logging_in_pauses_until_the_oldest_attempt_leaves_the_window() -> None:
    oldest = NOW - timedelta(minutes=10)
    assert seconds_to_wait(9, limit=10, oldest=oldest, now=NOW) is None
    assert seconds_to_wait(0, limit=10, oldest=None, now=NOW) is None
    wait = seconds_to_wait(10, limit=10, oldest=oldest, now=NOW)
    assert wait == 301
    assert oldest + ATTEMPT_WINDOW <= NOW + timedelta(seconds=wait)


def test_last_seen_is_written_once_a_minute() -> None:
    assert is_due(None, NOW)
    assert not is_due(NOW - timedelta(seconds=59), NOW)
    assert is_due(NOW - timedelta(seconds=60), NOW)
