"""Whoever goes on from a checkpoint ends with the bytes of whoever was never interrupted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

from federation.modelling import Checkpointing
from federation.modelling.loading import _kept
from tests.federation.modelling.worlds import ignore, trained, weather, world_of

SECONDS = 0.0  # a checkpoint after every step


class Interrupted(Exception):
    pass


def interrupting(at: int):
    def on_step(step):
        if step.step == at:
            raise Interrupted

    return on_step


def checkpointing(folder, seconds: float = SECONDS) -> Checkpointing:
    return Checkpointing(folder / "checkpoint", seconds)


def with_training(plan, **changes):
    training = plan.training.model_copy(update=changes)
    return plan.model_copy(update={"training": training})


@pytest.fixture
def world(encoder, causal, tmp_path):
    """With dropout, so that the random generators matter, and a rate that moves."""
    world = world_of("mean pooling", encoder, causal, tmp_path)
    plan = with_training(world.plan, epochs=2, accumulation=2, schedule="cosine", proximal_mu=0.1)
    return replace(world, plan=plan)


MICRO_BATCHES = 12


@pytest.fixture
def whole(world, tmp_path) -> bytes:
    """What nobody interrupted."""
    done = trained(world.base, world.plan, world.start, tmp_path / "whole")
    assert done.steps == MICRO_BATCHES / 2
    return (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("at", range(MICRO_BATCHES))
def test_interrupted_before_any_micro_batch_it_ends_with_the_same_bytes(world, whole, tmp_path, at):
    how, steps = {"checkpointing": checkpointing(tmp_path)}, []
    with pytest.raises(Interrupted):
        trained(
            world.base, world.plan, world.start, tmp_path / "a", on_step=interrupting(at), **how
        )
    torch.rand(at)  # nor does it matter what the process has drawn since
    done = trained(world.base, world.plan, world.start, tmp_path / "b", on_step=steps.append, **how)
    assert (tmp_path / "b").read_bytes() == whole
    assert steps[0].step == at - at % 2  # whole steps of the optimiser
    assert (done.steps, done.examples) == (MICRO_BATCHES / 2, 24)


def test_a_fresh_process_goes_on_as_the_old_one_would(world, whole, tmp_path):
    how = {"checkpointing": checkpointing(tmp_path)}
    for at in (5, 9):  # and a second time
        with pytest.raises(Interrupted):
            trained(
                world.base, world.plan, world.start, tmp_path / "a", on_step=interrupting(at), **how
            )
        _kept.cache_clear()
    trained(world.base, world.plan, world.start, tmp_path / "b", **how)
    assert (tmp_path / "b").read_bytes() == whole


def test_every_kind_of_task_can_go_on(encoder, causal, tmp_path):
    for kind in ("the model's head", "causal"):
        world = world_of(kind, encoder, causal, tmp_path / kind)
        how = {"checkpointing": checkpointing(tmp_path / kind)}
        trained(world.base, world.plan, world.start, tmp_path / "whole")
        with pytest.raises(Interrupted):
            trained(
                world.base, world.plan, world.start, tmp_path / "a", on_step=interrupting(3), **how
            )
        trained(world.base, world.plan, world.start, tmp_path / "b", **how)
        assert (tmp_path / "b").read_bytes() == (tmp_path / "whole").read_bytes()


def test_the_facts_are_those_of_an_uninterrupted_training(world, tmp_path):
    whole = trained(world.base, world.plan, world.start, tmp_path / "whole")
    how = {"checkpointing": checkpointing(tmp_path)}
    with pytest.raises(Interrupted):
        trained(world.base, world.plan, world.start, tmp_path / "a", on_step=interrupting(7), **how)
    parts = trained(world.base, world.plan, world.start, tmp_path / "b", **how)
    assert replace(parts, device_seconds=0) == replace(whole, device_seconds=0)
    assert parts.device_seconds > 0


@pytest.mark.parametrize(
    "other",
    [
        lambda _: {"seed": 2},
        lambda world: {"plan": with_training(world.plan, learning_rate=0.02)},
        lambda _: {"examples": replace(weather(), texts=["other", *weather().texts[1:]])},
        lambda _: {"examples": replace(weather(), labels=["wet", *weather().labels[1:]])},
        lambda world: {"start": world.start.with_name("other")},
    ],
)
def test_the_checkpoint_of_another_training_does_not_count(world, tmp_path, other):
    data = bytearray(world.start.read_bytes())
    data[-1] ^= 1
    (tmp_path / "other").write_bytes(bytes(data))
    how, steps = {"checkpointing": checkpointing(tmp_path)}, []
    with pytest.raises(Interrupted):
        trained(world.base, world.plan, world.start, tmp_path / "a", on_step=interrupting(7), **how)
    facts = {"plan": world.plan, "start": world.start, **other(world)}
    plan, start = facts.pop("plan"), facts.pop("start")
    trained(world.base, plan, start, tmp_path / "b", on_step=steps.append, **facts, **how)
    assert steps[0].step == 0
    trained(world.base, plan, start, tmp_path / "c", **facts)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: b"",
        lambda _: b"nonsense",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"checkpoint", b"chequepint"),
        lambda data: data.replace(b"identity", b"identify"),
    ],
)
def test_what_cannot_be_read_does_not_count(world, whole, tmp_path, broken):
    how, steps = {"checkpointing": checkpointing(tmp_path)}, []
    with pytest.raises(Interrupted):
        trained(world.base, world.plan, world.start, tmp_path / "a", on_step=interrupting(7), **how)
    file = tmp_path / "checkpoint"
    file.write_bytes(broken(file.read_bytes()))
    trained(world.base, world.plan, world.start, tmp_path / "b", on_step=steps.append, **how)
    assert steps[0].step == 0
    assert (tmp_path / "b").read_bytes() == whole


def test_it_is_written_as_often_as_asked_and_each_time_is_told(world, tmp_path):
    saved = []
    often = Checkpointing(tmp_path / "often", 0.0, on_saved=lambda: saved.append(1))
    trained(world.base, world.plan, world.start, tmp_path / "a", checkpointing=often)
    assert len(saved) == MICRO_BATCHES / 2 - 1  # after the last step there is the result
    seldom = Checkpointing(tmp_path / "seldom", 3600.0, on_saved=lambda: saved.append(1))
    trained(world.base, world.plan, world.start, tmp_path / "a", checkpointing=seldom)
    assert not seldom.file.exists()


def test_the_file_is_whole_and_holds_no_text(world, tmp_path):
    how = checkpointing(tmp_path)
    trained(world.base, world.plan, world.start, tmp_path / "a", checkpointing=how, on_step=ignore)
    with safe_open(how.file, framework="pt") as file:
        names = set(file.keys())
    assert {name.split(".")[0] for name in names} == {"parameter", "optimizer", "random"}
    assert not any(text.encode() in how.file.read_bytes() for text in weather().texts)
    assert not list(tmp_path.glob(".*"))
