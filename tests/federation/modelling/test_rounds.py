"""Whole rounds under every strategy: trained, aggregated, trained again on what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import load_file

from federation.engine import Method, WeightedUpdate, aggregate
from federation.layout import lora_factor, read_layout
from federation.modelling import Evaluated, Examples, evaluate
from federation.plan import Aggregation, Plan
from federation.sources import check_update
from federation.tensors import sha256_of
from federation.terms import TERMS
from tests.federation.modelling.worlds import World, begun, classification, ignore, trained, weather

SITES = 3
ALL = sorted(TERMS)


@dataclass
class Campaign:
    """A run of a strategy over sites that each know other texts."""

    world: World
    folder: Path

    @property
    def plan(self) -> Plan:
        return self.world.plan

    def update(self, site: int, number: int, start: Path) -> Path:
        target = self.folder / f"update-{number}-{site}"
        trained(
            self.world.base,
            self.plan,
            start,
            target,
            examples=part_of(site),
            seed=number,
            round_number=number,
        )
        return target

    def round(self, number: int, start: Path) -> Path:
        """Train everywhere and aggregate; returns the next state."""
        updates = [self.update(site, number, start) for site in range(SITES)]
        target = self.folder / f"state-{number}"
        aggregate(
            start=start,
            updates=[
                WeightedUpdate(path, 1.0 + site, self.plan.adapter.rank, sha256_of(path))
                for site, path in enumerate(updates)
            ],
            method=Method.of(self.plan, number),
            target=target,
        )
        return target

    def measure(self, state: Path) -> Evaluated:
        return evaluate(
            base=self.world.base,
            plan=self.plan,
            adapter=state,
            examples=weather(),
            on_step=ignore,
            device="cpu",
        )


def part_of(site: int) -> Examples:
    """All texts but every fourth, and not the same ones everywhere."""
    whole = weather(36)
    mine = [number for number in range(36) if number % 4 != site]
    return Examples([whole.texts[n] for n in mine], labels=[whole.labels[n] for n in mine])


def campaign(strategy: str, base: Path, folder: Path, **changes: object) -> Campaign:
    aggregation = Aggregation.model_validate({"strategy": strategy})
    plan = classification(epochs=2, head_learning_rate=0.005)
    plan = plan.model_copy(update={"aggregation": aggregation, **changes})
    return Campaign(begun(base, plan, folder / "world"), folder)


@pytest.mark.parametrize("strategy", ALL)
def test_two_rounds_teach_what_all_sites_know(strategy, encoder, tmp_path):
    run = campaign(strategy, encoder, tmp_path)
    before = run.measure(run.world.start)
    first = run.round(1, run.world.start)
    second = run.round(2, first)
    losses = [one.loss_sum for one in (before, run.measure(first), run.measure(second))]
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("strategy", ALL)
def test_an_update_is_what_the_terms_say(strategy, encoder, tmp_path):
    run = campaign(strategy, encoder, tmp_path)
    layout, start = read_layout(run.world.start), load_file(run.world.start)
    for number in (1, 2):
        path = run.update(0, number, run.world.start)
        travels = run.plan.aggregation.travels(number)
        check_update(path, start=layout, rank=4, codec="fp32", travels=travels)
        for name, value in load_file(path).items():
            assert not value.equal(start[name]), name
    factors = {lora_factor(name) for name in load_file(path)} - {None}
    assert factors == set(TERMS[strategy].rounds[1 % len(TERMS[strategy].rounds)])
