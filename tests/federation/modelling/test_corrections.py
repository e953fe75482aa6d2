"""Plain SGD along corrected gradients: what SCAFFOLD asks of a site's training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from federation.modelling import Checkpointing
from federation.plan import Aggregation, Plan, Server
from federation.rates import Rates
from federation.tensors import write_adapter
from tests.federation.modelling.test_checkpoints import Interrupted, interrupting
from tests.federation.modelling.worlds import World, begun, classification, trained
from tests.strategies import seeded

ROUND = {
    "optimiser": "sgd",
    "learning_rate": 0.5,
    "head_learning_rate": 0.2,
    "epochs": 2,
    "accumulation": 2,
    "schedule": "cosine",
    "weight_decay": 0.0,
}


def plan_of(strategy: str = "fedavg", **training: object) -> Plan:
    changes = {
        "aggregation": Aggregation(strategy=strategy),
        "server": Server(optimiser="scaffold"),
    }
    return classification(**{**ROUND, **training}).model_copy(update=changes)


@pytest.fixture
def world(encoder, tmp_path) -> World:
    return begun(encoder, plan_of(), tmp_path)


def correction_of(world: World, size: float, seed: int = 1) -> Path:
    """A correction of every tensor, of this size."""
    generator, path = seeded(seed), world.start.with_name(f"correction-{size}-{seed}")
    held = load_file(world.start)
    tensors = {n: size * torch.randn(v.shape, generator=generator) for n, v in held.items()}
    write_adapter(path, tensors.items())
    return path


def bytes_of(world: World, name: str, **options: object) -> bytes:
    target = world.start.with_name(name)
    trained(world.base, world.plan, world.start, target, **options)
    return target.read_bytes()


def test_in_the_first_round_it_sends_the_bytes_of_fedavg(world):
    plain = replace(world, plan=world.plan.model_copy(update={"server": Server()}))
    sent = bytes_of(plain, "plain")
    assert bytes_of(world, "first") == sent
    assert bytes_of(world, "zeros", correction=correction_of(world, 0.0)) == sent


@pytest.mark.parametrize("strategy", ["fedavg", "ffa"])
def test_every_step_is_corrected_whatever_the_gradients_are(encoder, tmp_path, strategy):
    """Gradients of nothing are left of a clip to nothing: the correction alone moves the weights."""
    world = begun(encoder, plan_of(strategy, clip_norm=1e-30), tmp_path)
    correction = correction_of(world, 0.01)
    done = trained(world.base, world.plan, world.start, tmp_path / "update", correction=correction)
    assert done.steps == 6
    rates = Rates.of(world.plan.training)
    start, moved, by = (load_file(p) for p in (world.start, tmp_path / "update", correction))
    for name, value in moved.items():
        expected = start[name] - rates.total(name, done.steps) * by[name]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_a_corrected_step_is_the_plain_one_and_the_correction(encoder, tmp_path):
    world = begun(encoder, plan_of(max_steps=1), tmp_path)
    correction = correction_of(world, 0.1)
    plain, corrected = bytes_of(world, "plain"), bytes_of(world, "both", correction=correction)
    assert plain != corrected
    rates = Rates.of(world.plan.training)
    one, other, by = (load_file(tmp_path / n) for n in ("plain", "both", correction.name))
    for name, value in other.items():
        expected = one[name] - rates.total(name, 1) * by[name]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("at", [3, 8])
def test_killed_it_goes_on_to_the_same_bytes(world, tmp_path, at):
    correction = correction_of(world, 0.01)
    whole = bytes_of(world, "whole", correction=correction)
    how = {"checkpointing": Checkpointing(tmp_path / "checkpoint", 0.0), "correction": correction}
    with pytest.raises(Interrupted):
        bytes_of(world, "cut", on_step=interrupting(at), **how)
    assert bytes_of(world, "resumed", **how) == whole


def test_the_checkpoint_of_another_correction_does_not_count(world, tmp_path):
    checkpointing = Checkpointing(tmp_path / "checkpoint", 0.0)
    with pytest.raises(Interrupted):
        bytes_of(world, "cut", on_step=interrupting(5), checkpointing=checkpointing)
    begun_at: list[int] = []
    other = {"correction": correction_of(world, 0.01), "checkpointing": checkpointing}
    bytes_of(world, "other", on_step=lambda step: begun_at.append(step.step), **other)
    assert begun_at[0] == 0
