"""The filters that put figures, moments and states into words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.template import Context
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from hub.common.templatetags import foedus

NOW = datetime(2026, 3, 4, 14, 3, 22, tzinfo=UTC)


def plain(text: str) -> str:
    return text.replace(foedus.SPACE, " ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (9, "just now"),
        (10, "10 seconds ago"),
        (60, "1 minute ago"),
        (3 * 3600 - 1, "2 hours ago"),
        (86400, "1 day ago"),
        (40 * 86400, "23 Jan 2026"),
        (-5, "just now"),
        (-180, "in 3 minutes"),
        (-7200, "in 2 hours"),
        (1 - 86400, "in 24 hours"),
        (1 - 30 * 86400, "in 30 days"),
        (-86400 - 3600, "in 1 day"),
    ],
)
def test_a_moment_is_told_from_now(seconds, words):
    assert plain(foedus.relative(NOW - timedelta(seconds=seconds), NOW)) == words


def test_moments_are_told_in_utc_whatever_their_zone():
    there = NOW.astimezone(tz=None)
    assert foedus.moment(there) == "4 Mar 2026, 14:03:22 UTC"
    assert foedus.isoformat(there) == "2026-03-04T14:03:22+00:00"
    assert foedus.moment("2026-03-04T15:03:22+01:00") == "4 Mar 2026, 14:03:22 UTC"


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (15.2 * 1024**2, "15.2 MiB"),
        (152 * 1024**2, "152 MiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5000 * 1024**6, "5000 EiB"),
    ],
)
def test_sizes_are_binary_with_three_digits(size, words):
    assert plain(foedus.human_bytes(size)) == words


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("  Sign In ", "Sign in"),
        ("Signup", "Sign up"),
        ("Two-Factor Authentication", "Two-factor authentication"),
        ("Enter the TOTP Code", "Enter the TOTP code"),
    ],
)
def test_titles_of_a_library_are_written_as_ours(title, words):
    assert foedus.sentence_case(title) == words


def test_other_languages_keep_the_capitals_of_their_nouns():
    assert foedus.midsentence("Owner") == "owner"
    with override("de"):
        assert foedus.midsentence("Inhaber") == "Inhaber"
        assert foedus.sentence_case(" Konto ohne Zugang ") == "Konto ohne Zugang"
        assert foedus.moment(NOW) == "4. Mär 2026, 14:03:22 UTC"


@pytest.mark.parametrize(("parts", "count"), [("2", 2), (20, 20), (21, 10), (0, 10)])
def test_a_scale_has_a_tick_for_each_part_while_they_are_few(parts, count):
    assert len(foedus.ticks(parts)) == count


@given(st.integers(min_value=0, max_value=2**60))
def test_no_size_is_longer_than_a_column(size):
    assert len(foedus.human_bytes(size)) <= len("99.9 MiB")


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (0, "0 s"),
        (0.85, "850 ms"),
        (0.9999, "1.0 s"),
        (4.21, "4.2 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
        (timedelta(minutes=2), "2 min"),
        (-4.2, "−4.2 s"),
    ],
)
def test_spans_have_two_units_at_most(span, words):
    assert plain(foedus.duration(span)) == words


def test_shares_and_counts_keep_their_digits():
    assert foedus.percent(0.4932) == "49.3%"
    assert foedus.percent(1, 0) == "100%"
    assert foedus.number(1234567) == "1,234,567"
    assert foedus.number(0.5) == "0.500"
    assert foedus.number(1234.5, 1) == "1,234.5"


@pytest.mark.parametrize(
    "show",
    [
        foedus.ago,
        foedus.moment,
        foedus.human_bytes,
        foedus.percent,
        foedus.number,
        foedus.short_id,
        foedus.duration,
    ],
)
def test_what_is_missing_is_a_dash(show):
    assert show(None) == show("") == foedus.MISSING


def test_what_is_not_a_number_is_a_dash():
    assert foedus.percent(float("nan")) == foedus.number(float("inf")) == foedus.MISSING


def test_a_digest_is_known_by_its_first_eight_characters():
    assert foedus.short_id("sha256:" + "0123456789abcdef" * 4) == "01234567"
    assert foedus.short_id("0123456789abcdef") == "01234567"


def test_every_state_has_a_tone_of_the_stylesheet():
    tones = {tone for tone, _ in foedus.STATES.values()}
    assert tones == {"neutral", "waiting", "active", "positive", "attention", "negative"}
    assert foedus.tone("quarantined") == "attention"
    assert (foedus.tone("unheard of"), foedus.state_icon("unheard of")) == ("neutral", "dot")


@given(st.text())
def test_a_name_keeps_its_hue(name):
    assert foedus.hue(name) == foedus.hue(name)
    assert 0 <= foedus.hue(name) < foedus.HUES


def test_eight_neighbours_have_eight_hues():
    assert [foedus.hue_at(place) for place in range(9)] == [0, 1, 2, 3, 4, 5, 6, 7, 0]


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Ada Institute of Health", "AI"), ("Blaise", "B"), ("carol's lab", "C"), ("4 Seas", "4S")],
)
def test_an_organisation_is_abbreviated_by_its_capitals(name, letters):
    assert foedus.initials(name) == letters


def test_a_chart_has_a_row_for_every_label():
    data = {"labels": [1, 2], "series": [{"name": "a", "values": [0.5, 0.25]}, {"values": [7]}]}
    rows = [(label, [value for value, *_ in values]) for label, values in foedus.chart_rows(data)]
    assert rows == [(1, [0.5, 7]), (2, [0.25, None])]


def test_a_row_of_a_chart_says_how_sure_its_values_are():
    sure = {"values": [0.5, 0.2], "low": [0.4, None], "high": [0.6, None]}
    (_, [first]), (_, [second]) = foedus.chart_rows({"labels": [1, 2], "series": [sure]})
    assert first == (0.5, 0.4, 0.6)
    assert second == (0.2, None, None)


def test_a_figure_is_formatted_by_the_name_of_its_format():
    assert foedus.formatted(0.25, "percent") == "25.0%"
    assert plain(foedus.formatted(2048, "bytes")) == "2.0 KiB"
    assert foedus.formatted(12, "anything else") == "12"


def test_a_link_is_marked_on_the_pages_of_its_apps():
    request = SimpleNamespace(resolver_match=SimpleNamespace(app_name="runs"))
    assert "aria-current" in foedus.current(Context({"request": request}), "federations", "runs")
    assert foedus.current(Context({"request": request}), "catalogue") == ""
    assert foedus.current(Context(), "runs") == ""
