from __future__ import annotations

import pytest
from pydantic import ValidationError

from federation.plan import Plan
from federation.plan_valuation import ON_COALITIONS, ValuationSpec
from federation.valuation import valuations

TASK = {"type": "sequence_classification", "labels": ["a", "b"]}


def plan(*, quorum: int = 3, attributable: bool = False, **valuation: object) -> Plan:
    return Plan.model_validate(
        {
            "task": TASK,
            "rounds": {"quorum": quorum},
            "transfer": {"attributable": attributable},
            "valuation": valuation,
        }
    )


def test_a_plan_without_it_is_the_same_plan_as_ever():
    without = Plan.model_validate({"task": TASK})
    assert "valuation" not in without.model_dump(mode="json")
    assert not without.valuation.is_asked_for
    assert without.digest() == Plan.model_validate({"task": TASK, "valuation": {}}).digest()
    assert plan(method="shapley").digest() != plan(method="cgsv").digest()


def test_every_method_can_be_asked_for():
    names = set(ValuationSpec.model_fields["method"].annotation.__args__)
    assert names == {*valuations, "none", "shapley"}
    for name in names - {"none"}:
        found, method = ValuationSpec(method=name).method_for(5)
        assert isinstance(method, valuations[found])
        assert (method.evidence == "coalitions") == (name in ON_COALITIONS)


def test_shapley_is_exact_where_that_can_be_measured():
    chosen = [ValuationSpec(method="shapley").method_for(count)[0] for count in (2, 8, 9, 40)]
    assert chosen == ["exact", "exact", "guided_permutations", "guided_permutations"]
    _, sampled = ValuationSpec(method="shapley", cycles=7, truncation=0.1).method_for(9)
    assert (sampled.cycles, sampled.truncation) == (7, 0.1)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"method": "exact", "quorum": 9}, "512 measurements"),
        (
            {"method": "shapley", "probe": "members", "quorum": 2, "attributable": True},
            "at least 3",
        ),
        ({"method": "shapley", "probe": "members"}, "told apart by members"),
        ({"method": "cgsv", "probe": "members", "attributable": True}, "no examples"),
    ],
)
def test_what_does_not_go_together_is_told(asked, why):
    with pytest.raises(ValidationError, match=why):
        plan(**asked)


def test_what_goes_together_is_taken():
    assert plan(method="exact", quorum=8).valuation.is_asked_for
    assert plan(method="shapley", probe="members", attributable=True).valuation.is_asked_for
    assert not plan(probe="members", quorum=2).valuation.is_asked_for


def test_every_so_many_rounds_are_valued_and_the_last_one() -> None:
    spec = ValuationSpec(method="shapley", every=3)
    assert [number for number in range(1, 9) if spec.is_due(number, last=8)] == [3, 6, 8]
    assert not ValuationSpec().is_due(8, last=8)
