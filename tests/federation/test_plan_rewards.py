"""What a plan promises for contributions."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from federation.plan import Plan
from tests.agent import tiny

VALUED = {"valuation": {"method": "shapley"}}


def plan(**sections: object) -> Plan:
    return Plan.model_validate(tiny.plan().model_dump(mode="json") | sections)


def test_a_plan_without_rewards_is_the_plan_that_it_was_before_there_were_any():
    assert "rewards" not in plan().model_dump(mode="json")
    assert plan().digest() == plan(rewards={"budget": 0}).digest()


def test_credits_need_values_to_be_split_by():
    with pytest.raises(ValidationError, match="choose a method of valuation"):
        plan(rewards={"budget": 1000})
    assert plan(rewards={"budget": 1000}, **VALUED).rewards.are_promised


@pytest.mark.parametrize(
    "rule", [{"rho": 0.3}, {"rho": 5}, {"floor": 1.1}, {"hold_back": -0.1}, {"budget": -1}]
)
def test_a_rule_that_cannot_be_is_refused(rule: dict[str, float]):
    with pytest.raises(ValidationError):
        plan(rewards={"budget": 10, **rule}, **VALUED)
