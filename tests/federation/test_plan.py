"""Plans that were written before a field was there stay what they were."""

from __future__ import annotations

import json

import pytest

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


@pytest.mark.parametrize(("part", "name", "value"), [("training", "proximal_mu", 0.01)])
def test_a_later_field_is_written_once_it_is_used(part: str, name: str, value: object) -> None:
    plan = plan_with(**{part: {**OLD[part], name: value}})
    document = plan.model_dump(mode="json")
    assert document[part][name] == value
    assert plan.digest() != DIGEST
    assert Plan.model_validate_json(json.dumps(document)) == plan


def test_a_later_field_at_its_usual_value_changes_no_digest() -> None:
    plan = plan_with(training={**OLD["training"], "proximal_mu": 0.0})
    assert plan.digest() == DIGEST
