"""What depends on the device: refused where it is lacking, and never silently done otherwise."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from federation.modelling import ModellingRefused, evaluate
from federation.modelling.loading import device_for, kept_base
from federation.modelling.objectives import outcome
from federation.plan import Aggregation, FullWeights, Plan, SequenceClassification, Training
from tests.federation.modelling.worlds import classification, ignore, trained, weather, world_of


@pytest.fixture
def world(encoder, causal, tmp_path):
    return world_of("mean pooling", encoder, causal, tmp_path)


def with_training(plan, **changes):
    training = plan.training.model_copy(update=changes)
    return plan.model_copy(update={"training": training})


LACKING = [
    ({"precision": "fp16"}, "precision_unsupported"),
    ({"base_weights": "nf4"}, "quantisation_unsupported"),
]


@pytest.mark.parametrize(("changes", "code"), LACKING)
def test_what_a_processor_cannot_do_is_refused_in_training_and_measuring(
    world, tmp_path, changes, code
):
    plan = with_training(world.plan, **changes)
    with pytest.raises(ModellingRefused) as refused:
        trained(world.base, plan, world.start, tmp_path / "update")
    assert refused.value.code == code
    with pytest.raises(ModellingRefused) as refused:
        evaluate(
            base=world.base,
            plan=plan,
            adapter=world.start,
            examples=weather(),
            on_step=ignore,
            device="cpu",
        )
    assert refused.value.code == code


def test_a_card_without_bf16_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(ModellingRefused, match="has no bf16"):
        device_for(classification(precision="bf16"), "cuda")
    assert device_for(classification(precision="bf16"), "cpu").type == "cpu"
    assert device_for(classification(precision="fp16"), "cuda").type == "cuda"


def test_the_loss_is_in_full_precision_whatever_the_products_are(world):
    seen = []

    def model(input_ids, **_):
        seen.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None)
        return type("Answer", (), {"logits": torch.zeros(len(input_ids), 1, 3)})

    from federation.modelling.collating import collate
    from federation.modelling.examples import Example

    batch = collate([Example([7], [0])], pad=0, device="cpu")
    for precision in ("fp32", "bf16", "fp16"):
        assert outcome(model, batch, classification(precision=precision)).loss.dtype.itemsize == 4
    assert seen == [None, torch.bfloat16, torch.float16]


def test_all_weights_and_a_base_in_four_bits_do_not_go_together():
    with pytest.raises(ValidationError, match="4 bits"):
        Plan(
            task=SequenceClassification(labels=("a", "b")),
            adapter=FullWeights(),
            training=Training(base_weights="nf4"),
            aggregation=Aggregation(strategy="fedavg"),
        )


def test_activations_computed_twice_give_the_same_bytes(world, tmp_path):
    """With dropout, which has to fall alike both times."""
    plan = with_training(world.plan, gradient_checkpointing=True)
    trained(world.base, plan, world.start, tmp_path / "twice")
    base = kept_base(world.base, plan, torch.device("cpu"))
    assert base.model.is_activation_checkpointing
    trained(world.base, world.plan, world.start, tmp_path / "once")
    assert not base.model.is_activation_checkpointing
    assert (tmp_path / "twice").read_bytes() == (tmp_path / "once").read_bytes()


def test_a_base_that_cannot_compute_activations_twice_is_refused(world, tmp_path, monkeypatch):
    plan = with_training(world.plan, gradient_checkpointing=True)
    model = kept_base(world.base, plan, torch.device("cpu")).model
    monkeypatch.setattr(type(model), "supports_gradient_checkpointing", False)
    with pytest.raises(ModellingRefused, match="gradient_checkpointing_unsupported"):
        trained(world.base, plan, world.start, tmp_path / "update")


def test_a_step_says_how_fast_it_goes_and_what_it_holds(world, tmp_path):
    steps = []
    trained(world.base, world.plan, world.start, tmp_path / "update", on_step=steps.append)
    assert steps[0].tokens_per_second is None
    assert steps[-1].tokens_per_second > steps[-1].examples_per_second > 0
    assert 50e6 < steps[-1].memory_bytes < 64e9
