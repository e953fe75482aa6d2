from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.common.text import UnfitText, line, paragraphs


@given(st.text(max_size=50))
def test_what_is_taken_is_stable_visible_and_bounded(value):
    try:
        taken = line(value, most=50)
    except UnfitText:
        return
    assert line(taken, most=50) == taken == unicodedata.normalize("NFC", taken)
    assert len(taken) <= 50
    assert not {unicodedata.category(c) for c in taken} & {"Cc", "Cf", "Cs", "Co", "Cn"}


@pytest.mark.parametrize(
    "value", ["Ærø", "O'Neill & Søn", "東京", "ΔΣ", "naïve", "Ñandú 2", "a-b_c"]
)
def test_names_of_people_and_places_are_taken(value):
    assert line(value, most=50) == value


@pytest.mark.parametrize("value", ["Bаnk", "pаypal", "Βank"])
def test_a_word_of_two_alphabets_is_refused(value):
    with pytest.raises(UnfitText):
        line(value, most=50)


def test_paragraphs_keep_their_lines_and_nothing_else():
    assert paragraphs(" a\r\nb\rc\td \n", most=50) == "a\nb\nc\td"
    with pytest.raises(UnfitText):
        paragraphs("a\x0bb", most=50)


@pytest.mark.parametrize(("least", "value"), [(1, ""), (1, "  "), (3, "ab")])
def test_too_short_is_unfit(least, value):
    with pytest.raises(UnfitText):
        line(value, least=least, most=50)
