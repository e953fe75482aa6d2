from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from federation.modelling import ModellingRefused, create_adapter, evaluate
from federation.modelling.loading import _kept, kept_base
from federation.modelling.optimisation import Optimisation
from federation.plan import Training
from federation.tensors import cut_rank
from tests.federation.modelling.worlds import (
    answers,
    classification,
    continuation,
    ignore,
    trained,
    weather,
    world_of,
)

HEAD = "base_model.model.{}.weight"


class Cancelled(Exception):
    pass


def test_the_loss_falls(world, tmp_path):
    losses = []
    done = trained(
        world.base,
        world.plan,
        world.start,
        tmp_path / "update",
        on_step=lambda step: losses.append(step.loss),
    )
    assert losses[-1] < 0.8 * losses[1]
    assert losses[0] is None
    assert done.loss == pytest.approx(sum(losses[1:]) / len(losses[1:]), rel=0.1)


def test_the_adapter_alone_carries_what_was_learnt(world, tmp_path):
    trained(world.base, world.plan, world.start, tmp_path / "update")
    known = weather() if world.plan.task.type == "sequence_classification" else answers()
    sums = [
        evaluate(
            base=world.base,
            plan=world.plan,
            adapter=file,
            examples=known,
            on_step=ignore,
            device="cpu",
        ).loss_sum
        for file in (world.start, tmp_path / "update")
    ]
    assert sums[1] < 0.8 * sums[0]


def test_equal_arguments_give_equal_bytes_and_a_kept_base_those_of_a_fresh_one(world, tmp_path):
    files = [tmp_path / name for name in ("fresh", "kept", "fresh again")]
    for file in files:
        if file.name != "kept":
            _kept.cache_clear()
        trained(world.base, world.plan, world.start, file)
        torch.rand(3)  # the caller's randomness is no argument
    assert len({file.read_bytes() for file in files}) == 1


def test_a_base_is_loaded_once_and_only_the_last_one_is_kept(encoder, causal):
    cpu = torch.device("cpu")
    first = kept_base(encoder, classification(), cpu)
    assert kept_base(encoder, classification(learning_rate=0.5), cpu) is first
    kept_base(causal, continuation(), cpu)
    assert kept_base(encoder, classification(), cpu) is not first


def test_another_seed_gives_other_bytes(world, tmp_path):
    for seed in (1, 2**62):
        trained(world.base, world.plan, world.start, tmp_path / str(seed), seed=seed)
    assert (tmp_path / "1").read_bytes() != (tmp_path / str(2**62)).read_bytes()


def test_the_caller_s_random_numbers_are_left_alone(world, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    trained(world.base, world.plan, world.start, tmp_path / "update")
    assert torch.equal(torch.rand(4), expected)


def test_tasks_of_other_ranks_in_between_change_nothing(world, tmp_path):
    small = tmp_path / "small"
    cut_rank(world.start, 2, small)
    trained(world.base, world.plan, world.start, tmp_path / "before")
    trained(world.base, world.plan, small, tmp_path / "small update", rank=2)
    trained(world.base, world.plan, world.start, tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()
    shapes = {tuple(v.shape) for k, v in load_file(tmp_path / "small update").items() if "_A" in k}
    assert shapes == {(2, 32)}


def test_a_cancelled_task_writes_nothing_and_leaves_no_trace(world, tmp_path):
    def cancel(step):
        if step.step == 3:
            raise Cancelled

    plan = world.plan.model_copy(
        update={"training": world.plan.training.model_copy(update={"accumulation": 2})}
    )
    trained(world.base, plan, world.start, tmp_path / "before")
    with pytest.raises(Cancelled):
        trained(world.base, plan, world.start, tmp_path / "cancelled", on_step=cancel)
    trained(world.base, plan, world.start, tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"start.safetensors", "before", "after"}


def test_a_step_is_reported_before_every_micro_batch(encoder, tmp_path):
    plan = classification(epochs=2, accumulation=3, learning_rate=0.1, schedule="linear")
    create_adapter(base=encoder, plan=plan, target=tmp_path / "start")
    seen = []
    done = trained(encoder, plan, tmp_path / "start", tmp_path / "update", on_step=seen.append)
    assert [step.step for step in seen] == [*range(12)]
    assert {step.steps for step in seen} == {12}
    assert [step.learning_rate for step in seen[::3]] == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert done.steps == 4
    assert done.examples == 24
    assert done.tokens == 2 * sum(len(text.split()) + 2 for text in weather().texts)
    assert done.device_seconds > 0


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, 0.854, 0.5, 0.146]),
    ],
)
def test_the_rate_follows_the_schedule_within_the_round(encoder, tmp_path, schedule, expected):
    plan = classification(max_steps=4, schedule=schedule, learning_rate=1.0)
    create_adapter(base=encoder, plan=plan, target=tmp_path / "start")
    rates = []
    trained(
        encoder,
        plan,
        tmp_path / "start",
        tmp_path / "update",
        on_step=lambda step: rates.append(step.learning_rate),
    )
    assert rates == pytest.approx(expected, abs=1e-3)


def test_accumulated_micro_batches_are_one_large_batch(causal, tmp_path):
    world = world_of("the model's head", causal, causal, tmp_path)  # without dropout
    for name, size, accumulation in (("whole", 24, 1), ("parts", 5, 5)):
        sizes = {"batch_size": size, "accumulation": accumulation, "epochs": 1.0}
        training = world.plan.training.model_copy(update=sizes)
        plan = world.plan.model_copy(update={"training": training})
        trained(world.base, plan, world.start, tmp_path / name)
    # The head only: Adam magnifies rounding where gradients are near zero, as in some factors.
    whole, parts = (load_file(tmp_path / name)[HEAD.format("score")] for name in ("whole", "parts"))
    torch.testing.assert_close(parts, whole)


def test_the_head_learns_at_its_own_rate(encoder, tmp_path):
    plan = classification(max_steps=1, learning_rate=1e-4, head_learning_rate=0.05, weight_decay=0)
    create_adapter(base=encoder, plan=plan, target=tmp_path / "start")
    trained(encoder, plan, tmp_path / "start", tmp_path / "update")
    start, update = load_file(tmp_path / "start"), load_file(tmp_path / "update")
    # The first step of Adam is as long as the rate, whatever the gradient.
    moved = {name: float((update[name] - start[name]).abs().max()) for name in start}
    assert moved[HEAD.format("classifier")] == pytest.approx(0.05, rel=1e-2)
    factors = [value for name, value in moved.items() if "lora_B" in name]
    assert factors == pytest.approx([1e-4] * 4, rel=1e-2)


def test_the_initial_adapter_is_the_seed_s_and_changes_nothing(world, tmp_path):
    create_adapter(base=world.base, plan=world.plan, target=tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == world.start.read_bytes()
    other = world.plan.model_copy(update={"seed": 6})
    create_adapter(base=world.base, plan=other, target=tmp_path / "other")
    assert (tmp_path / "other").read_bytes() != world.start.read_bytes()
    factors = {name: v for name, v in load_file(world.start).items() if "lora_" in name}
    assert all(not value.any() for name, value in factors.items() if "lora_B" in name)
    assert all(value.any() for name, value in factors.items() if "lora_A" in name)


def with_changes(start, target, change):
    tensors = load_file(start)
    change(tensors)
    save_file(tensors, target)
    return target


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda tensors: tensors.popitem(), "adapter_mismatch"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "adapter_mismatch"),
        (lambda tensors: [v.fill_(torch.inf) for v in tensors.values()], "diverged"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(world, tmp_path, change, code):
    broken = with_changes(world.start, tmp_path / "broken", change)
    with pytest.raises(ModellingRefused) as refused:
        trained(world.base, world.plan, broken, tmp_path / "update")
    assert refused.value.code == code
    assert not (tmp_path / "update").exists()


def test_a_start_of_another_rank_is_refused(world, tmp_path):
    with pytest.raises(ModellingRefused, match="another shape"):
        trained(world.base, world.plan, world.start, tmp_path / "update", rank=3)


def test_bytes_that_are_no_adapter_are_refused(world, tmp_path):
    (tmp_path / "broken").write_bytes(b"nonsense")
    with pytest.raises(ModellingRefused, match="adapter_mismatch: unreadable"):
        trained(world.base, world.plan, tmp_path / "broken", tmp_path / "update")


def test_targets_the_base_lacks_are_refused(encoder, tmp_path):
    for targets in (("q_proj",), ("query", "q_proj")):
        plan = classification()
        adapter = plan.adapter.model_copy(update={"targets": targets})
        with pytest.raises(ModellingRefused, match="targets_missing"):
            create_adapter(
                base=encoder,
                plan=plan.model_copy(update={"adapter": adapter}),
                target=tmp_path / "start",
            )


def test_a_base_that_lacks_more_than_its_head_is_refused(encoder, tmp_path):
    weights = load_file(encoder / "model.safetensors")
    for file in encoder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    del weights["encoder.layer.1.attention.self.key.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModellingRefused, match="base_incomplete"):
        create_adapter(base=tmp_path, plan=classification(), target=tmp_path / "start")


def test_a_folder_without_a_model_is_refused(tmp_path):
    for base in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ModellingRefused, match="base_unreadable"):
            create_adapter(base=base, plan=classification(), target=tmp_path / "start")
        with pytest.raises(ModellingRefused, match="base_unreadable"):
            trained(base, classification(), tmp_path / "start", tmp_path / "update")


def test_a_base_whose_files_changed_is_loaded_again(encoder, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    for file in encoder.iterdir():
        (base / file.name).write_bytes(file.read_bytes())
    plan = classification()
    create_adapter(base=base, plan=plan, target=tmp_path / "start")
    trained(base, plan, tmp_path / "start", tmp_path / "old")
    weights = load_file(base / "model.safetensors")
    save_file(
        {k: v * 1.5 for k, v in weights.items()}, base / "model.safetensors", {"format": "pt"}
    )
    trained(base, plan, tmp_path / "start", tmp_path / "new")
    assert (tmp_path / "old").read_bytes() != (tmp_path / "new").read_bytes()


def distance(file, start) -> float:
    update, origin = load_file(file), load_file(start)
    return float(sum((update[name] - origin[name]).square().sum() for name in origin))


def test_without_a_pull_fedprox_is_fedavg_and_with_it_an_update_stays_nearer(world, tmp_path):
    """METHODS 3: μ = 0 is FedAvg."""
    for mu in (0.0, 10.0):
        training = world.plan.training.model_copy(update={"proximal_mu": mu})
        plan = world.plan.model_copy(update={"training": training})
        trained(world.base, plan, world.start, tmp_path / str(mu))
    trained(world.base, world.plan, world.start, tmp_path / "fedavg")
    assert (tmp_path / "0.0").read_bytes() == (tmp_path / "fedavg").read_bytes()
    near, far = (distance(tmp_path / name, world.start) for name in ("10.0", "0.0"))
    assert near < 0.9 * far


def test_the_pull_is_the_gradient_of_half_mu_times_the_squared_distance():
    parameter, origin = torch.tensor([3.0, -1.0], requires_grad=True), torch.tensor([1.0, 1.0])
    parameter.grad = torch.tensor([0.5, 0.5])
    training = Training(proximal_mu=0.1)
    Optimisation(training, 1, None, [parameter], [origin], [], None)._pull()
    distance = torch.tensor([3.0, -1.0], requires_grad=True)
    (0.1 / 2 * (distance - origin).square().sum()).backward()
    torch.testing.assert_close(parameter.grad, 0.5 + distance.grad)
