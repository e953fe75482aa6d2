"""Every type of adapter: what it trains, that it can go on, and how updates become one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from federation.engine import AggregationRefused, Method, WeightedUpdate, aggregate, change_norm
from federation.layout import LayoutRefused, check_layout, expected_shapes, read_layout
from federation.modelling import Checkpointing, ModellingRefused, create_adapter, evaluate
from federation.modelling.config import adapter_config, layers_of
from federation.plan import Aggregation, Ia3, Lora
from federation.tensors import cut_rank
from federation.terms import TERMS
from federation.transforms import NormClip
from tests.federation.modelling.worlds import (
    ADAPTERS,
    classification,
    ignore,
    trained,
    weather,
    world_with,
)

LORA = sorted(name for name, adapter in ADAPTERS.items() if isinstance(adapter, Lora))
OTHER = sorted(ADAPTERS.keys() - set(LORA))


@pytest.fixture(params=sorted(ADAPTERS))
def world(request, encoder, causal, tmp_path):
    return world_with(request.param, encoder, causal, tmp_path)


def measured(world, file):
    return evaluate(
        base=world.base,
        plan=world.plan,
        adapter=file,
        examples=weather(),
        on_step=ignore,
        device="cpu",
    )


def test_it_learns_and_the_file_alone_carries_it(world, tmp_path):
    before = measured(world, world.start).loss_sum
    trained(world.base, world.plan, world.start, tmp_path / "update")
    assert measured(world, tmp_path / "update").loss_sum < 0.9 * before


def test_everything_in_the_file_is_trained(world, tmp_path):
    trained(world.base, world.plan, world.start, tmp_path / "update")
    start, update = load_file(world.start), load_file(tmp_path / "update")
    assert start.keys() == update.keys()
    still = [name for name in start if torch.equal(start[name], update[name])]
    assert still == []
    assert {value.dtype for value in update.values()} == {torch.float32}


def test_tasks_of_other_types_in_between_change_nothing(world, encoder, causal, tmp_path):
    trained(world.base, world.plan, world.start, tmp_path / "before")
    for name in ADAPTERS:
        other = world_with(name, encoder, causal, tmp_path / name)
        trained(other.base, other.plan, other.start, tmp_path / "other")
    trained(world.base, world.plan, world.start, tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()


def test_interrupted_it_ends_with_the_same_bytes(world, tmp_path):
    def interrupt(step):
        if step.step == 5:
            raise KeyboardInterrupt

    how = {"checkpointing": Checkpointing(tmp_path / "checkpoint", 0.0)}
    trained(world.base, world.plan, world.start, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(world.base, world.plan, world.start, tmp_path / "a", on_step=interrupt, **how)
    trained(world.base, world.plan, world.start, tmp_path / "b", **how)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "whole").read_bytes()


def test_the_start_is_the_seed_s_and_at_first_nothing_changes(world, tmp_path):
    create_adapter(base=world.base, plan=world.plan, target=tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == world.start.read_bytes()
    plain = classification().model_copy(update={"adapter": Lora(rank=1)})
    create_adapter(base=world.base, plan=plain, target=tmp_path / "plain")
    if world.plan.adapter.type != "prompt_tuning":
        expected = measured(type(world)(world.base, plain, tmp_path / "plain"), tmp_path / "plain")
        assert measured(world, world.start).loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)


def test_full_training_copies_every_layer_of_the_base(encoder, causal, tmp_path):
    world = world_with("full", encoder, causal, tmp_path)
    weights, start = load_file(encoder / "model.safetensors"), load_file(world.start)
    known = {name: value for name, value in weights.items() if not name.startswith("pooler")}
    assert len(start) == len(known) + 2  # and a head
    for name, value in known.items():
        layer, _, leaf = name.rpartition(".")
        assert torch.equal(start[f"base_model.model.bert.{layer}.ln_tuning_layers.{leaf}"], value)
    layers = layers_of(start)
    assert "bert.encoder.layer.0.attention.self.query" in layers
    config = adapter_config(world.plan, base_repo="base/tiny", layers=layers)
    assert config["target_modules"] == layers


@pytest.mark.parametrize("name", ["ia3", "dora"])
def test_targets_the_base_lacks_are_refused(name, encoder, tmp_path):
    adapter = ADAPTERS[name].model_copy(update={"targets": ("query", "q_proj"), "feedforward": ()})
    plan = classification().model_copy(update={"adapter": adapter})
    with pytest.raises(ModellingRefused, match="targets_missing"):
        create_adapter(base=encoder, plan=plan, target=tmp_path / "start")


# ------------------------------------------------------------------ aggregation


def combined(world, updates, target):
    method = replace(Method.of(world.plan), clip=NormClip(1e9))
    return aggregate(start=world.start, updates=updates, method=method, target=target)


def two_updates(world, folder):
    for seed in (1, 2):
        trained(world.base, world.plan, world.start, folder / str(seed), seed=seed)
    rank = world.plan.adapter.rank
    return [WeightedUpdate(folder / str(w), float(w), rank, str(w)) for w in (1, 2)]


@pytest.mark.parametrize("name", OTHER)
def test_what_has_no_factors_is_averaged_by_weight(name, encoder, causal, tmp_path):
    world = world_with(name, encoder, causal, tmp_path)
    report = combined(world, two_updates(world, tmp_path), tmp_path / "next")
    one, two, mean = (load_file(tmp_path / name) for name in ("1", "2", "next"))
    for tensor, value in mean.items():
        expected = (one[tensor].double() + 2 * two[tensor].double()) / 3
        torch.testing.assert_close(value, expected.float())
    assert report.relative_error == report.discarded_energy == 0.0
    assert min(report.norms.values()) > 0


@pytest.mark.parametrize("strategy", sorted(name for name in TERMS if TERMS[name].takes_dora))
def test_the_magnitudes_of_dora_are_averaged_whatever_becomes_of_the_pairs(
    strategy, encoder, causal, tmp_path
):
    world = world_with("dora", encoder, causal, tmp_path)
    aggregation = Aggregation.model_validate({"strategy": strategy})
    plan = world.plan.model_copy(update={"aggregation": aggregation})
    world = replace(world, plan=plan)
    combined(world, two_updates(world, tmp_path), tmp_path / "next")
    one, two, mean = (load_file(tmp_path / name) for name in ("1", "2", "next"))
    magnitudes = [tensor for tensor in mean if tensor.endswith("lora_magnitude_vector")]
    assert len(magnitudes) == 4
    for tensor in magnitudes:
        torch.testing.assert_close(mean[tensor], (one[tensor] + 2 * two[tensor]) / 3)


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_one_update_alone_is_the_result(name, encoder, causal, tmp_path):
    """METHODS AGG-8."""
    world = world_with(name, encoder, causal, tmp_path)
    (update, _) = two_updates(world, tmp_path)
    combined(world, [update], tmp_path / "next")
    alone, result = measured(world, tmp_path / "1"), measured(world, tmp_path / "next")
    assert result.loss_sum == pytest.approx(alone.loss_sum, rel=1e-4)
    assert result.correct == alone.correct


def test_who_did_not_move_has_no_norm(world, tmp_path):
    facts = {"rank": world.plan.adapter.rank, "scale": world.plan.adapter.scale}
    assert change_norm(start=world.start, update=world.start, **facts) == 0.0
    trained(world.base, world.plan, world.start, tmp_path / "update")
    assert change_norm(start=world.start, update=tmp_path / "update", **facts) > 0


@pytest.mark.parametrize("name", LORA)
def test_a_participation_may_train_a_smaller_rank(name, encoder, causal, tmp_path):
    world = world_with(name, encoder, causal, tmp_path)
    cut_rank(world.start, 2, tmp_path / "small")
    trained(world.base, world.plan, tmp_path / "small", tmp_path / "update", rank=2)
    check_layout(read_layout(tmp_path / "update"), expected_shapes(read_layout(world.start), 2))
    update = WeightedUpdate(tmp_path / "update", 1.0, 2, "a")
    combined(world, [update], tmp_path / "next")
    assert measured(world, tmp_path / "next").loss_sum < measured(world, world.start).loss_sum


@pytest.mark.parametrize("name", OTHER)
def test_a_cut_to_rank_one_leaves_it_whole(name, encoder, causal, tmp_path):
    world = world_with(name, encoder, causal, tmp_path)
    cut_rank(world.start, 1, tmp_path / "cut")
    assert (tmp_path / "cut").read_bytes() == world.start.read_bytes()


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_scale_of_rslora_is_the_plan_s_at_every_rank(rank):
    adapter = Lora(rank=4, alpha=8, rslora=True)
    plan = classification().model_copy(update={"adapter": adapter})
    config = adapter_config(plan, base_repo="b", rank=rank)
    assert config["use_rslora"]
    assert config["lora_alpha"] / rank**0.5 == pytest.approx(adapter.scale) == 4.0


def test_dora_and_lora_do_not_mix(encoder, causal, tmp_path):
    """METHODS AGG-14."""
    dora = world_with("dora", encoder, causal, tmp_path / "dora")
    lora = world_with("rslora", encoder, causal, tmp_path / "lora")
    for start, other in ((dora, lora), (lora, dora)):
        with pytest.raises(LayoutRefused):
            check_layout(read_layout(other.start), expected_shapes(read_layout(start.start), 4))
        with pytest.raises(AggregationRefused):
            combined(start, [WeightedUpdate(other.start, 1.0, 4, "a")], tmp_path / "next")


def test_an_unknown_part_of_lora_is_no_adapter(encoder, causal, tmp_path):
    world = world_with("rslora", encoder, causal, tmp_path)
    tensors = load_file(world.start)
    tensors["base_model.model.bert.lora_E"] = torch.ones(4)
    save_file(tensors, tmp_path / "odd")
    with pytest.raises(AggregationRefused, match="unsupported_adapter"):
        combined(
            type(world)(world.base, world.plan, tmp_path / "odd"),
            [WeightedUpdate(tmp_path / "odd", 1.0, 4, "a")],
            tmp_path / "next",
        )


def test_the_feedforward_modules_of_ia3_are_scaled_where_they_read(encoder, causal, tmp_path):
    shapes = {
        name: tuple(value.shape)
        for name, value in load_file(world_with("ia3", encoder, causal, tmp_path).start).items()
    }
    layer = "base_model.model.bert.encoder.layer.0"
    assert shapes[f"{layer}.output.dense.ia3_l"] == (1, 64)
    assert shapes[f"{layer}.attention.self.query.ia3_l"] == (32, 1)
    with pytest.raises(ValueError, match="no target"):
        Ia3(targets=("query",), feedforward=("output.dense",))
