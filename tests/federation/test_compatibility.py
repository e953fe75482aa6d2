"""Every cell of METHODS 2.6, and what the plan makes of those that it can express."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from pydantic import ValidationError

from federation.breakdown import COMBINATIONS
from federation.compatibility import (
    MATRIX,
    UNDER_SECURE_AGGREGATION,
    Feature,
    fewest_of,
    survived,
)
from federation.plan import Aggregation, Plan
from federation.rules import rules
from federation.terms import TERMS

F = Feature
COLUMNS = (
    F.DIFFERENT_RANKS,
    F.SECURE_AGGREGATION,
    F.RECORD_PRIVACY,
    F.CENTRAL_PRIVACY,
    F.WEIGHT_RULES,
    F.COORDINATE_RULES,
    F.CONTRIBUTIONS,
    F.REMOVAL,
    F.CONTROL_VARIATES,
)
# The table of METHODS 2.6: y yes, n no, c yes on a condition that the cell states, x no with a way
# round that it states. Two strategies of one row stand in two.
EXPECTED = {
    #             ranks secagg record central weight coordinate shapley removal controls
    "fedavg": "n y y c x y y n y",
    "ffa": "n y y y y c y c y",
    "rolora": "n y y y y c y c y",
    "fedsb": "n y y c y c y y y",
    "stack_svd": "y n y c y c y y x",
    "fedex": "n n y c y c y c x",
    UNDER_SECURE_AGGREGATION: "c y y y x n x n c",
}
CELLS = [
    (name, feature, letter)
    for name, row in EXPECTED.items()
    for feature, letter in zip(COLUMNS, row.split(), strict=True)
]


def test_the_matrix_has_these_rows_and_columns():
    assert set(MATRIX) == set(EXPECTED)
    assert all(tuple(row) == COLUMNS for row in MATRIX.values())


@pytest.mark.parametrize(("name", "feature", "letter"), CELLS)
def test_a_cell_says_whether_and_how(name, feature, letter):
    cell = MATRIX[name][feature]
    assert cell.is_possible == (letter in "yc")
    assert bool(cell.how) == (letter in "cx")


def test_every_strategy_has_a_row():
    assert set(TERMS) <= set(MATRIX)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_the_cell_of_ranks_is_what_the_strategy_does(name):
    assert TERMS[name].mixes_ranks == MATRIX[name][F.DIFFERENT_RANKS].is_possible


def plan(quorum: int = 20, adapter: str = "lora", **aggregation: object) -> Plan:
    document = {
        "task": {"type": "sequence_classification", "labels": ["a", "b"]},
        "adapter": {"type": adapter},
        "rounds": {"quorum": quorum},
        "aggregation": aggregation,
    }
    return Plan.model_validate_json(json.dumps(document))


WEIGHT_RULES = {
    "krum": {},
    "multi_krum": {},
    "geometric_median": {},
    "flame": {},
    "fltrust": {"root": "ada"},
    "bulyan": {"combination": "near_median"},
}
COORDINATE_RULES = ("median", "trimmed_mean")


@pytest.mark.parametrize("rule", sorted(WEIGHT_RULES))
@pytest.mark.parametrize("name", sorted(TERMS))
def test_the_plan_takes_a_weight_rule_where_its_cell_says_so(name, rule):
    asked = {"strategy": name, "rule": rule, **WEIGHT_RULES[rule]}
    cell = MATRIX[name][F.WEIGHT_RULES]
    if cell.is_possible:
        assert plan(**asked).aggregation.rule == rule
        return
    with pytest.raises(ValidationError, match=cell.how):
        plan(**asked)


@pytest.mark.parametrize("combination", COORDINATE_RULES)
@pytest.mark.parametrize("name", sorted(TERMS))
def test_the_plan_takes_a_coordinate_rule_where_its_cell_says_so(name, combination):
    assert MATRIX[name][F.COORDINATE_RULES].is_possible
    assert plan(strategy=name, combination=combination).aggregation.combination == combination


def corrected(adapter: str = "lora", at_the_sites: str = "sgd", **parts: object) -> Plan:
    """A plan with control variates."""
    document = plan(adapter=adapter, strategy="fedavg").model_dump(mode="json")
    document["aggregation"] |= {"strategy": parts.pop("strategy", "fedavg"), **parts}
    document["training"]["optimiser"] = at_the_sites
    return Plan.model_validate({**document, "server": {"optimiser": "scaffold"}})


@pytest.mark.parametrize("name", sorted(TERMS))
def test_the_plan_takes_control_variates_where_their_cell_says_so(name):
    cell = MATRIX[name][F.CONTROL_VARIATES]
    if cell.is_possible:
        assert corrected(strategy=name).server.optimiser == "scaffold"
        return
    with pytest.raises(ValidationError) as refused:
        corrected(strategy=name)
    assert f"{name} does not go with control variates: {cell.how}" in str(refused.value)
    assert "choose one of fedavg, ffa, rolora, fedsb, at one rank for all" in str(refused.value)


@pytest.mark.parametrize("adapter", ["ia3", "full", "prompt_tuning"])
def test_without_factors_control_variates_go_with_averaging(adapter):
    assert corrected(adapter).server.optimiser == "scaffold"


@pytest.mark.parametrize("rule", ["krum", "median"])
def test_control_variates_and_a_guard_are_refused(rule):
    field = "rule" if rule in rules else "combination"
    with pytest.raises(ValidationError, match=f"{rule} guards what updates do to the model"):
        corrected("ia3", **{field: rule})


def test_control_variates_are_refused_with_any_optimiser_but_sgd():
    with pytest.raises(ValidationError, match="choose sgd at the sites, not adamw"):
        corrected(at_the_sites="adamw")


def test_control_variates_are_refused_where_late_updates_count():
    document = corrected().model_dump(mode="json")
    document["rounds"]["late"] = "count"
    with pytest.raises(ValidationError, match="all others in the same round"):
        Plan.model_validate(document)


@pytest.mark.parametrize("rule", sorted(WEIGHT_RULES))
@pytest.mark.parametrize("adapter", ["ia3", "full", "prompt_tuning"])
def test_without_factors_every_rule_goes_with_averaging(adapter, rule):
    assert plan(adapter=adapter, strategy="fedavg", rule=rule, **WEIGHT_RULES[rule])


def test_all_that_is_registered_can_be_chosen():
    fields = Aggregation.model_fields
    assert set(get_args(fields["rule"].annotation)) == set(rules)
    assert set(get_args(fields["combination"].annotation)) == set(COMBINATIONS)


@pytest.mark.parametrize(
    ("changed", "fewest"),
    [
        ({"rule": "krum"}, 5),
        ({"rule": "krum", "liars": 2}, 7),
        ({"rule": "multi_krum"}, 5),
        ({"rule": "bulyan", "combination": "near_median"}, 7),
        ({"rule": "geometric_median", "liars": 2}, 5),
        ({"rule": "flame"}, 3),
        ({"rule": "fltrust", "root": "ada"}, 4),
        ({"rule": "fltrust", "root": "ada", "liars": 2}, 6),
        ({"combination": "median"}, 3),
        ({"combination": "trimmed_mean", "liars": 3}, 7),
    ],
)
def test_a_quorum_below_what_the_method_needs_is_refused_with_the_numbers(changed, fewest):
    liars = changed.get("liars", 1)
    lies = "one harmful update" if liars == 1 else f"{liars} harmful updates"
    said = f"needs {fewest} updates to survive {lies}, and a round may close with {fewest - 1}"
    with pytest.raises(ValidationError, match=said):
        plan(quorum=fewest - 1, **changed)
    taken = plan(quorum=fewest, **changed).aggregation
    assert fewest_of(taken.rule, taken.combination, taken.liars) == fewest
    assert survived(taken.rule, taken.combination, taken.liars, fewest) == liars


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rule": "bulyan"}, "add near_median"),
        ({"rule": "bulyan", "combination": "median"}, "add near_median"),
        ({"combination": "near_median"}, "choose bulyan"),
        ({"rule": "krum", "combination": "near_median"}, "choose bulyan"),
        ({"rule": "krum", "combination": "median"}, "both guard against lies"),
        ({"rule": "fltrust"}, "name its organisation as the root"),
        ({"rule": "krum", "root": "ada"}, "asks for no root of trust"),
        ({"root": "ada"}, "asks for no root of trust"),
        ({"liars": 0}, "greater than or equal to 1"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(changed, said):
    with pytest.raises(ValidationError, match=said):
        plan(**changed)


def test_plain_shares_survive_nobody_and_need_nobody():
    assert survived("shares", "mean", 3, 100) == 0
    assert plan(quorum=1, liars=3).aggregation.rule == "shares"


@pytest.mark.parametrize(
    ("rule", "liars", "updates", "expected"),
    [("krum", 2, 7, 2), ("krum", 2, 6, 1), ("krum", 1, 50, 1), ("flame", 1, 7, 3)],
)
def test_what_the_present_members_survive(rule, liars, updates, expected):
    assert survived(rule, "mean", liars, updates) == expected


def test_a_plan_that_guards_has_another_digest_and_one_that_does_not_the_old_one():
    assert plan().digest() == plan(rule="shares", combination="mean", liars=1).digest()
    assert plan().digest() != plan(rule="krum").digest()
    assert "rule" not in plan().model_dump(mode="json")["aggregation"]
