"""What a plan may ask of the server's step and of late updates, and what it says where it cannot."""

from __future__ import annotations

from dataclasses import fields

import pytest
from pydantic import ValidationError

from federation.engine import Method
from federation.optimisers import LinearOptimiser, optimisers
from federation.plan import Plan
from federation.plan_server import AVERAGING, CHANGING, CONTROLLED, LINEAR, SETTINGS, Server
from federation.registry import configured
from federation.strategies import ChangeStrategy, strategies
from tests.federation.test_plan import DIGEST, OLD, plan_with


def refusal(**parts: object) -> str:
    with pytest.raises(ValidationError) as refused:
        plan_with(**parts)
    return str(refused.value)


def chosen(optimiser: str, strategy: str = "fedavg", **settings: float) -> Plan:
    at_the_sites = {"optimiser": "sgd"} if optimiser == CONTROLLED else {}
    return plan_with(
        server={"optimiser": optimiser, **settings},
        aggregation={**OLD["aggregation"], "strategy": strategy},
        training={**OLD["training"], **at_the_sites},
    )


def test_settings_are_those_that_the_optimisers_have() -> None:
    named = {"lr": "learning_rate"}
    found = {
        name: {named.get(field.name, field.name) for field in fields(kind)}
        for name, kind in optimisers.items()
    }
    assert found == SETTINGS
    linear = {
        name for name in optimisers if isinstance(configured(optimisers, name), LinearOptimiser)
    }
    assert linear == LINEAR


def test_every_strategy_is_known_for_what_it_takes() -> None:
    for name in AVERAGING & strategies.keys():
        assert strategies[name]().averages_factors
    for name in CHANGING:
        assert isinstance(strategies[name](), ChangeStrategy)


def test_without_a_server_optimiser_a_plan_is_what_it_was() -> None:
    assert plan_with(server={}).digest() == DIGEST
    assert plan_with(server={"optimiser": "none"}).digest() == DIGEST
    assert chosen("fedavgm").digest() != DIGEST
    written = chosen("fedavgm", momentum=0.5)
    assert Plan.model_validate_json(written.model_dump_json()) == written


@pytest.mark.parametrize("name", sorted(optimisers))
def test_a_plan_without_settings_has_the_usual_ones(name: str) -> None:
    assert Method.of(chosen(name)).optimiser == configured(optimisers, name)


def test_settings_reach_the_optimiser() -> None:
    settings = {"learning_rate": 0.01, "beta1": 0.8, "beta2": 0.9, "tau": 0.1}
    found = Method.of(chosen("fedadam", **settings)).optimiser
    assert found == configured(optimisers, "fedadam", lr=0.01, beta1=0.8, beta2=0.9, tau=0.1)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        (name, setting)
        for name in sorted(optimisers)
        for setting in sorted(Server.model_fields.keys() - {"optimiser"} - SETTINGS[name])
    ],
)
def test_a_setting_of_another_optimiser_is_refused(name: str, setting: str) -> None:
    title = Server.model_fields[setting].title
    said = refusal(
        server={"optimiser": name, setting: 0.5},
        aggregation={**OLD["aggregation"], "strategy": "fedavg"},
    )
    assert f"a server with the optimiser {name} has no setting “{title}”" in said


@pytest.mark.parametrize("name", sorted(optimisers.keys() - {CONTROLLED}))
def test_moments_of_values_are_refused_for_stacked_pairs(name: str) -> None:
    if name in LINEAR or name == "none":
        assert chosen(name, "stack_svd").server.optimiser == name
        return
    said = refusal(server={"optimiser": name})
    assert f"{name} remembers every value of the factors" in said
    assert "choose fedavgm or diloco" in said


def test_late_and_buffer_are_written_once_they_are_used() -> None:
    assert plan_with(rounds={**OLD["rounds"], "buffer": None}).digest() == DIGEST
    plan = plan_with(rounds={**OLD["rounds"], "buffer": 3, "late": "count"})
    assert plan.model_dump(mode="json")["rounds"]["buffer"] == 3
    assert plan.digest() != DIGEST


def test_a_buffer_below_the_quorum_is_refused_with_the_numbers() -> None:
    said = refusal(rounds={**OLD["rounds"], "quorum": 4, "buffer": 3})
    assert "a round cannot close with 3 updates where its quorum is 4" in said


def test_late_updates_do_not_count_where_every_round_trains_something_else() -> None:
    said = refusal(
        rounds={**OLD["rounds"], "late": "count"},
        aggregation={**OLD["aggregation"], "strategy": "rolora"},
    )
    assert "rolora trains another factor in the next round" in said


def test_normalising_by_steps_is_written_once_it_is_used() -> None:
    plan = plan_with(aggregation={**OLD["aggregation"], "normalise_steps": True})
    assert Method.of(plan).normalise_steps
    assert plan.digest() != DIGEST
    assert (
        plan_with(aggregation={**OLD["aggregation"], "normalise_steps": False}).digest() == DIGEST
    )
