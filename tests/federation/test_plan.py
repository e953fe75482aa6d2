"""Plans that were written before a field was there stay what they were."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from federation.plan import Plan

OLD = json.loads("""{
  "version": 1,
  "task": {"type": "sequence_classification", "labels": ["a", "b"], "pooling": "mean",
           "max_tokens": 64},
  "adapter": {"rank": 8, "alpha": 16.0, "targets": ["query", "value"]},
  "training": {"epochs": 1.0, "max_steps": null, "batch_size": 16, "accumulation": 1,
               "learning_rate": 0.002, "head_learning_rate": 0.02, "schedule": "constant",
               "weight_decay": 0.01, "clip_norm": 1.0, "precision": "fp32"},
  "aggregation": {"strategy": "stack_svd", "energy": 1.0, "clip": null},
  "rounds": {"count": 5, "quorum": 2, "deadline_seconds": 1800, "late": "record", "attempts": 3},
  "evaluation": {"every": "round"},
  "seed": 0
}""")
DIGEST = "9e8727730faeb6a8d0a5476c88168fa1e1f5056d9b85e30d219c13bef6b29814"


def plan_with(**parts: object) -> Plan:
    return Plan.model_validate_json(json.dumps({**OLD, **parts}))


def test_an_old_document_is_read_written_and_hashed_as_ever() -> None:
    plan = plan_with()
    assert plan.model_dump(mode="json") == OLD
    assert json.loads(plan.model_dump_json()) == OLD
    assert plan.digest() == DIGEST


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("training", "proximal_mu", 0.01),
        ("training", "gradient_checkpointing", True),
        ("training", "base_weights", "nf4"),
    ],
)
def test_a_later_field_is_written_once_it_is_used(part: str, name: str, value: object) -> None:
    plan = plan_with(**{part: {**OLD[part], name: value}})
    document = plan.model_dump(mode="json")
    assert document[part][name] == value
    assert plan.digest() != DIGEST
    assert Plan.model_validate_json(json.dumps(document)) == plan


def test_a_later_field_at_its_usual_value_changes_no_digest() -> None:
    plan = plan_with(training={**OLD["training"], "proximal_mu": 0.0})
    assert plan.digest() == DIGEST


LORA = OLD["adapter"]
FEDAVG = {**OLD["aggregation"], "strategy": "fedavg"}
SHORT: dict[str, dict[str, object]] = {
    "ia3": {"type": "ia3", "targets": ["query"]},
    "prompt_tuning": {"type": "prompt_tuning"},
    "full": {"type": "full"},
}


def test_an_adapter_without_a_type_is_lora() -> None:
    assert plan_with(adapter={**LORA, "type": "lora"}) == plan_with()
    assert plan_with(adapter={**LORA, "type": "lora"}).digest() == DIGEST


@pytest.mark.parametrize("option", ["rslora", "dora"])
def test_an_option_of_lora_is_written_once_it_is_used(option: str) -> None:
    plan = plan_with(adapter={**LORA, option: True})
    assert plan.model_dump(mode="json")["adapter"] == {**LORA, option: True}
    assert plan.digest() != DIGEST


@pytest.mark.parametrize("kind", sorted(SHORT))
def test_what_has_no_factors_is_averaged_and_not_stacked(kind: str) -> None:
    plan = plan_with(adapter=SHORT[kind], aggregation=FEDAVG)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert plan.adapter.type == kind
    assert (plan.adapter.rank, plan.adapter.scale) == (1, 1.0)
    with pytest.raises(ValidationError, match=f"{kind} has none: choose fedavg"):
        plan_with(adapter=SHORT[kind])


def test_a_prompt_needs_mean_pooling() -> None:
    task = {**OLD["task"], "pooling": "model"}
    with pytest.raises(ValidationError, match="choose mean pooling"):
        plan_with(adapter=SHORT["prompt_tuning"], aggregation=FEDAVG, task=task)
    lm = {"type": "causal_lm", "max_tokens": 8}
    assert plan_with(adapter=SHORT["prompt_tuning"], aggregation=FEDAVG, task=lm)


@pytest.mark.parametrize(
    "task",
    [
        {"type": "masked_lm"},
        {"type": "image_classification", "labels": ["a", "b"]},
        {"type": "causal_lm", "packing": True},
        {"type": "chat", "packing": True},
    ],
)
def test_a_prompt_has_no_place_everywhere(task: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="learnt prompt"):
        plan_with(adapter=SHORT["prompt_tuning"], aggregation=FEDAVG, task=task)
    assert plan_with(task=task).task.type == task["type"]


def test_packing_is_written_once_it_is_used() -> None:
    plain = plan_with(task={"type": "causal_lm", "max_tokens": 128})
    assert plain.digest() == "21df40b535237d7fef3699b58c87733f654ee4760fe6e8af32096c91a5692d1d"
    assert "packing" not in plain.model_dump(mode="json")["task"]
    packing = plan_with(task={"type": "causal_lm", "max_tokens": 128, "packing": True})
    assert packing.model_dump(mode="json")["task"]["packing"] is True


@pytest.mark.parametrize(
    "adapter",
    [
        {"type": "adalora"},
        {"type": "ia3", "rank": 4},
        {"type": "full", "targets": ["query"]},
        {"type": "prompt_tuning", "virtual_tokens": 0},
        {"rank": 8, "virtual_tokens": 3},
        {"type": "ia3", "targets": ["query"], "feedforward": ["dense"]},
    ],
)
def test_an_adapter_that_is_none_is_refused(adapter: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        plan_with(adapter=adapter, aggregation=FEDAVG)
