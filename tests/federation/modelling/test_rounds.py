"""Whole rounds under every strategy: trained, aggregated, trained again on what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from federation.engine import Method, WeightedUpdate, aggregate
from federation.layout import lora_factor, ranks_of, read_layout
from federation.modelling import Evaluated, Examples, adapter_config, evaluate
from federation.modelling.adapting import adapted
from federation.modelling.batches import encode
from federation.modelling.collating import collate
from federation.modelling.loading import load_base, needs_of
from federation.plan import Aggregation, Plan
from federation.publishing import publish
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
    folder.mkdir(exist_ok=True)
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


def test_agg_9_and_10_what_does_not_travel_is_the_same_after_two_rounds(encoder, tmp_path):
    for strategy in ("ffa", "fedsb"):
        run = campaign(strategy, encoder, tmp_path / strategy)
        state = run.round(2, run.round(1, run.world.start))
        travels, before, after = (
            run.plan.aggregation.travels(1),
            load_file(run.world.start),
            load_file(state),
        )
        for name in before:
            assert before[name].equal(after[name]) != travels(name), name


def test_the_fixed_factors_are_orthonormal_and_drawn_from_the_seed(encoder, tmp_path):
    run = campaign("fedsb", encoder, tmp_path / "one")
    again = campaign("fedsb", encoder, tmp_path / "two")
    other = campaign("fedsb", encoder, tmp_path / "three", seed=6)
    assert run.world.start.read_bytes() == again.world.start.read_bytes()
    assert run.world.start.read_bytes() != other.world.start.read_bytes()
    for name, value in load_file(run.world.start).items():
        match lora_factor(name):
            case "A":
                torch.testing.assert_close(value @ value.T, torch.eye(4))
            case "B":
                torch.testing.assert_close(value.T @ value, torch.eye(4))
            case "R":
                assert not value.any()


@pytest.mark.parametrize("strategy", ALL)
def test_agg_13_what_is_published_answers_like_the_state(strategy, encoder, tmp_path):
    """Loaded by peft alone, beside the base and merged into it."""
    run = campaign(strategy, encoder, tmp_path)
    state = run.round(2, run.round(1, run.world.start))
    folder = tmp_path / "published"
    folder.mkdir()
    publish(state, folder / "adapter_model.safetensors")
    rank = max(ranks_of(read_layout(folder / "adapter_model.safetensors")))
    config = adapter_config(run.plan, base_repo=str(run.world.base), rank=rank)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    base = load_base(run.world.base, needs_of(run.plan), torch.device("cpu"))
    ours = adapted(base, run.plan, rank=run.plan.adapter.rank, file=state)
    batch = collate(encode(weather(6), run.plan, ours.processor), pad=ours.pad, device="cpu")
    stock = load_base(run.world.base, needs_of(run.plan), torch.device("cpu")).model
    stock = PeftModel.from_pretrained(stock, folder)
    with torch.no_grad():
        expected = ours.model.eval()(**batch.inputs).logits
        found = stock.eval()(**batch.inputs).logits
        merged = stock.merge_and_unload()(**batch.inputs).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(merged, expected, atol=1e-4, rtol=0)


def test_a_kept_base_forgets_the_strategy_before(encoder, tmp_path):
    """One process plays several runs on one base: each gives the same bytes as on its own."""
    alone = {}
    for turn in range(2):
        for strategy in ALL:
            run = campaign(strategy, encoder, tmp_path / f"{strategy}-{turn}")
            state = run.round(1, run.world.start)
            digest = sha256_of(run.update(0, 2, state))
            assert alone.setdefault(strategy, digest) == digest
