"""Votes are counted: beside the rules stands a count of every way in which a vote can go on."""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.federations.policies import VotingRule
from hub.federations.proposals.tallying import Outcome, Tally, needed, outcome, settled, tally

MAJORITIES = ("simple", "two_thirds", "unanimous")
QUORUMS = (0.0, 0.25, 1 / 3, 0.5, 0.6, 2 / 3, 0.75, 1.0)
RULES = [VotingRule(quorum=q, majority=m) for q, m in product(QUORUMS, MAJORITIES)]  # type: ignore[arg-type]
LARGEST = 7  # organisations
SAID = ("yes", "no", "abstain")


def counts(electorate: int) -> list[Tally]:
    """Every state that a vote of so many can be in."""
    states = combinations_with_replacement((*SAID, None), electorate)
    return [Tally(*(one.count(word) for word in (*SAID, None))) for one in states]


def completions(now: Tally) -> set[Tally]:
    """What can come of it: each who has not voted says yes or no, abstains, or stays silent."""
    rest = combinations_with_replacement((*SAID, None), now.waiting)
    return {
        Tally(
            now.yes + one.count("yes"),
            now.no + one.count("no"),
            now.abstained + one.count("abstain"),
            one.count(None),
        )
        for one in rest
    }


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_decided_early_iff_nothing_can_change_whether_it_is_accepted(rule: VotingRule) -> None:
    for electorate in range(1, LARGEST + 1):
        for now in counts(electorate):
            ends = {outcome(rule, end) == Outcome.ACCEPTED for end in completions(now)}
            found = settled(rule, now)
            assert (found is None) == (len(ends) == 2), (rule, now)
            if found is not None:
                assert (found == Outcome.ACCEPTED) == ends.pop(), (rule, now)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_when_all_have_voted_it_is_decided_as_at_the_close(rule: VotingRule) -> None:
    for electorate in range(1, LARGEST + 1):
        for now in counts(electorate):
            if not now.waiting:
                assert settled(rule, now) == outcome(rule, now)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_another_yes_never_harms_and_another_no_never_helps(rule: VotingRule) -> None:
    for now in counts(LARGEST):
        if outcome(rule, now) == Outcome.ACCEPTED and now.no:
            better = Tally(now.yes + 1, now.no - 1, now.abstained, now.waiting)
            assert outcome(rule, better) == Outcome.ACCEPTED
        if outcome(rule, now) == Outcome.REFUSED and now.yes:
            worse = Tally(now.yes - 1, now.no + 1, now.abstained, now.waiting)
            assert outcome(rule, worse) == Outcome.REFUSED


PLACES = [UUID(int=number) for number in range(LARGEST)]


@given(
    votes=st.dictionaries(st.sampled_from(PLACES), st.sampled_from(SAID)),
    present=st.sets(st.sampled_from(PLACES)),
    rng=st.randoms(use_true_random=False),
)
def test_the_order_of_votes_and_of_places_does_not_matter(votes, present, rng) -> None:
    expected = tally(PLACES, present, votes)
    items, places = list(votes.items()), list(PLACES)
    rng.shuffle(items)
    rng.shuffle(places)
    assert tally(places, sorted(present, reverse=True), dict(items)) == expected


@given(
    votes=st.dictionaries(st.sampled_from(PLACES), st.sampled_from(SAID)),
    gone=st.sets(st.sampled_from(PLACES)),
)
def test_who_does_not_take_part_any_more_counts_for_nothing(votes, gone) -> None:
    present = set(PLACES) - gone
    without = {place: said for place, said in votes.items() if place not in gone}
    count = tally(PLACES, present, votes)
    assert count == tally(sorted(present), present, without)
    assert count.electorate == len(present)


def test_who_came_later_has_no_voice() -> None:
    late = uuid4()
    assert tally(PLACES, {*PLACES, late}, {late: "yes"}) == Tally(waiting=LARGEST)


EXAMPLES = [
    # majority, quorum, (yes, no, abstained, waiting), at the close, before it
    ("simple", 0.5, (2, 1, 0, 1), Outcome.ACCEPTED, None),
    ("simple", 0.5, (2, 2, 0, 0), Outcome.REFUSED, Outcome.REFUSED),  # a tie
    ("simple", 0.5, (1, 0, 0, 3), Outcome.LAPSED, None),
    ("simple", 0.5, (3, 0, 0, 2), Outcome.ACCEPTED, Outcome.ACCEPTED),
    ("simple", 0.5, (1, 0, 3, 0), Outcome.ACCEPTED, Outcome.ACCEPTED),  # abstentions are votes
    ("simple", 0.5, (0, 0, 4, 0), Outcome.REFUSED, Outcome.REFUSED),  # nobody said yes
    ("simple", 0.0, (0, 0, 0, 3), Outcome.LAPSED, None),  # nobody voted
    ("two_thirds", 0.5, (4, 2, 0, 0), Outcome.ACCEPTED, Outcome.ACCEPTED),
    ("two_thirds", 0.5, (3, 2, 0, 1), Outcome.REFUSED, None),
    ("two_thirds", 0.5, (2, 2, 0, 1), Outcome.REFUSED, Outcome.REFUSED),
    ("unanimous", 0.5, (0, 1, 0, 4), Outcome.LAPSED, Outcome.REFUSED),
    ("unanimous", 0.5, (2, 0, 1, 0), Outcome.ACCEPTED, Outcome.ACCEPTED),
    ("unanimous", 1.0, (3, 0, 0, 1), Outcome.LAPSED, None),
    ("simple", 0.5, (1, 0, 0, 0), Outcome.ACCEPTED, Outcome.ACCEPTED),  # one voice
    ("simple", 0.5, (0, 0, 0, 0), Outcome.LAPSED, Outcome.LAPSED),  # all have left
]


@pytest.mark.parametrize(("majority", "quorum", "count", "late", "early"), EXAMPLES)
def test_examples_by_hand(majority, quorum, count, late, early) -> None:
    rule = VotingRule(quorum=quorum, majority=majority)
    assert (outcome(rule, Tally(*count)), settled(rule, Tally(*count))) == (late, early)


@pytest.mark.parametrize(
    ("quorum", "electorate", "expected"),
    [(0.5, 4, 2), (0.5, 5, 3), (0.0, 9, 1), (1.0, 9, 9), (0.1, 10, 1), (0.3, 10, 3), (0.7, 10, 7)],
)
def test_the_quorum_is_rounded_up_and_exact(quorum, electorate, expected) -> None:
    assert needed(VotingRule(quorum=quorum), electorate) == expected
