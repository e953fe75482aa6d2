"""Many probes, one game each: who judges whom, and who brought the same."""

from __future__ import annotations

import pytest

from federation.valuation import Measured, Table, ValuationRefused, valuations
from tests.federation.valuation.games import losses_of, measured, played, valuation

GAINS = {"a": 0.4, "b": 0.2, "c": 0.1, "d": 0.0}


def probes(**said: float) -> list[Measured]:
    """Every owner measures the same, but for what some say that a brings."""
    found: list[Measured] = []
    for owner in GAINS:
        gains = GAINS | {"a": said.get(owner, GAINS["a"])}
        found += measured(losses_of(GAINS, lambda one, g=gains: sum(g[p] for p in one)), owner)
    return found


def value_of(player: str, known: list[Measured], **changed: object) -> float:
    return valuation(GAINS, **changed).valued(Table.of(known)).contributions[player].value


def test_nobody_judges_itself():
    honest, boasting = probes(), probes(a=9.0)
    assert value_of("a", boasting) == value_of("a", honest) == pytest.approx(0.4)
    found = valuation(GAINS).valued(Table.of(boasting)).contributions["a"]
    assert found.by_owner == pytest.approx({"a": 9.0, "b": 0.4, "c": 0.4, "d": 0.4})


def test_one_of_four_who_lies_does_not_count():
    more = {"players": dict.fromkeys([*GAINS, "e"], 1.0)}
    losses = losses_of([*GAINS, "e"], lambda one: sum(GAINS.get(p, 0.0) for p in one))
    lie = losses_of([*GAINS, "e"], lambda one: sum(GAINS.get(p, 5.0) for p in one))
    known = [m for o in "abcd" for m in measured(lie if o == "b" else losses, o)]
    found = valuation(GAINS, **more).valued(Table.of(known)).contributions
    assert found["e"].by_owner["b"] == pytest.approx(5.0)
    assert found["e"].value == 0.0
    untrimmed = valuation(GAINS, **more, trim=0.0).valued(Table.of(known)).contributions
    assert untrimmed["e"].value == pytest.approx(5.0 / 4)


def test_what_is_not_shared_out_is_said():
    found = valuation(GAINS).valued(Table.of(probes(a=9.0)))
    assert found.worth == pytest.approx(0.7)  # the mean of the middle two
    assert found.gap == pytest.approx(0.0)
    assert found.owners == ("a", "b", "c", "d")
    assert found.evaluations == 4 * 16


def test_an_owner_who_has_not_measured_all_does_not_count():
    known = [one for one in probes() if one.owner != "b" or len(one.coalition) < 3]
    assert valuation(GAINS).valued(Table.of(known)).owners == ("a", "c", "d")
    assert len(valuation(GAINS).wanted(Table.of(known), "b")) == 5
    none = [one for one in known if len(one.coalition) < 2]
    with pytest.raises(ValuationRefused, match="not_measured"):
        valuation(GAINS).valued(Table.of(none))


def test_who_is_measured_by_itself_alone_has_no_value():
    with pytest.raises(ValuationRefused, match="nobody_else_measured"):
        valuation(GAINS).valued(Table.of([one for one in probes() if one.owner == "a"]))


def test_a_cluster_is_worth_what_one_of_it_is_and_shares_it():
    alike = (frozenset({"a", "b"}),)
    found = valuation(GAINS, clusters=alike).valued(Table.of(probes())).contributions
    assert found["a"].value == found["b"].value == pytest.approx(0.4 / 2)
    assert found["c"].value == pytest.approx(0.1)
    heavier = {"a": 1.0, "b": 2.0, "c": 1.0, "d": 1.0}
    found = valuation(GAINS, clusters=alike, players=heavier).valued(Table.of(probes()))
    assert found.contributions["a"].value == pytest.approx(0.2 / 2)
    assert found.gap == pytest.approx(0.0)


def test_a_cluster_is_judged_by_nobody_in_it():
    alike = (frozenset({"a", "b"}),)
    assert value_of("b", probes(b=9.0), clusters=alike) == pytest.approx(0.2)


def test_a_copy_takes_nothing_from_those_who_did_not_copy():
    """x adds nothing to a, nor a to x; as two players they would have had more than a alone."""
    copies = {"a": 0.4, "x": 0.4}
    gains = GAINS | copies
    losses = losses_of(gains, lambda one: sum(gains[p] for p in one))
    known = [m for owner in "bcd" for m in measured(losses, owner)]
    alone = valuation(GAINS).valued(Table.of(probes())).contributions
    both = valuation(gains, clusters=(frozenset(copies),)).valued(Table.of(known)).contributions
    assert both["a"].value + both["x"].value == pytest.approx(alone["a"].value)
    assert both["b"].value == pytest.approx(alone["b"].value)


def test_with_a_cluster_fewer_measurements_are_wanted_and_none_again():
    losses = losses_of(GAINS, lambda one: sum(GAINS[p] for p in one))
    clustered = valuation(GAINS, clusters=(frozenset({"a", "b"}),))
    assert len(played(clustered, losses)) == 8
    whole = Table.of(measured(losses))
    for name in sorted(set(valuations) - {"guided_permutations"}):
        asked = valuation(GAINS, valuations[name](), clusters=(frozenset({"a", "b"}),))
        wanted = asked.wanted(whole, None)
        assert wanted == ([frozenset("acd")] if name == "none" else [])


@pytest.mark.parametrize(
    "clusters", [[{"a", "z"}], [{"a", "b"}, {"b", "c"}]], ids=["stranger", "overlapping"]
)
def test_clusters_are_of_players_each_in_one(clusters):
    with pytest.raises(ValuationRefused, match="unknown_player"):
        valuation(GAINS, clusters=tuple(map(frozenset, clusters)))


def test_an_owner_measures_one_thing_once():
    known = probes()
    with pytest.raises(ValuationRefused, match="measured_twice"):
        Table.of([*known, known[0]])
    other = Measured(frozenset("abz"), "a", known[0].bins[:1])
    with pytest.raises(ValuationRefused, match="measured_otherwise"):
        Table.of([*known, other])


def test_a_round_without_anybody_has_no_values():
    with pytest.raises(ValuationRefused, match="no_players"):
        valuation("")
