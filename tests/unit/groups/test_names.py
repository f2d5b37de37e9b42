"""How names are compared, and what tells two of the same apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.groups.names import (
    MAX_SEARCH_NAME,
    indexed_words,
    normalise,
    search_name,
    search_words,
    short_id,
)

JID = "120363041234567890@g.us"


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("Café  ÉCOLE", "cafe ecole"),
        ("İstanbul ISPARTA ışık", "istanbul isparta isik"),
        ("Straße", "strasse"),
        ("Łódź Øst Đà Nẵng Æsir", "lodz ost da nang aesir"),
        ("Ｆｕｌｌ", "full"),
        ("مُحَمَّد", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("Й ё", "и е"),
        ("a\u200bb\u0000c", "abc"),
        ("  \t ", ""),
    ],
)
def test_case_accents_and_width_do_not_matter(name: str, normal: str) -> None:
    assert normalise(name) == normal


@pytest.mark.parametrize(("one", "other"), [("कि", "कु"), ("が", "か"), ("น้ำ", "นา")])
def test_vowels_and_voicing_do_matter(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text())
def test_what_is_normal_stays_normal(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)


@given(st.text(), st.text())
def test_a_word_is_found_in_the_name_that_it_is_part_of(before: str, after: str) -> None:
    name = f"{before} workshop {after}"

    assert "workshop" in normalise(name).split()


@given(st.text(max_size=400))
def test_what_the_index_takes_is_bounded(name: str) -> None:
    stored = search_name(name, JID)

    assert len(stored) <= MAX_SEARCH_NAME
    assert stored.endswith("567890")


@pytest.mark.parametrize("name", [None, "", " ", "\u0301"])
def test_a_group_without_a_name_is_found_by_any_part_of_its_id(name: str | None) -> None:
    assert search_name(name, JID) == " " + JID.partition("@")[0]
    assert search_name(name, "Ab3@g.us") == " ab3"
    assert len(search_name(name, "9" * 5_000 + "@g.us")) <= MAX_SEARCH_NAME


@pytest.mark.parametrize(
    ("jid", "short"),
    [(JID, "567890"), ("919876543210-1612345678@g.us", "345678"), ("Ab3@g.us", "Ab3")],
)
def test_a_short_id_is_the_end_of_the_id(jid: str, short: str) -> None:
    assert short_id(jid) == short


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("  Café au  lait café ", ["cafe", "au", "lait"]),
        (JID, ["567890"]),
        (f" {JID.upper()} ", ["567890"]),
        ("", []),
        ("\u0301", []),
    ],
)
def test_what_is_looked_for(query: str, words: list[str]) -> None:
    assert search_words(query) == words


def test_short_words_are_left_to_reading() -> None:
    assert indexed_words(["ab", "abc", "工作", "工作坊"]) == ["abc", "工作坊"]
