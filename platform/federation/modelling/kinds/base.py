"""What every kind of task is, and where kinds are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Generator, Tensor

from federation.modelling.adapting import Adapted
from federation.modelling.examples import Answers, Batch, Example, Outcome
from federation.modelling.messages import Examples, ModellingRefused
from federation.plan import Plan
from federation.registry import Registry


class Kind(Protocol):
    """One kind of task: how examples become batches, and what the loss is."""

    def encode(self, examples: Examples, plan: Plan, processor: Any) -> list[Example]:
        """Prepare everything once. Raises `ModellingRefused` for data that does not fit."""

    def batch(
        self, chosen: Sequence[Example], model: Adapted, plan: Plan, dice: Generator | None
    ) -> Batch:
        """Some examples as tensors on the model's device; `dice`: None for torch's own."""

    def outcome(self, logits: Tensor, batch: Batch, plan: Plan) -> Outcome:
        """The loss, in fp32, of the model's answer."""

    def answers(self, logits: Tensor, batch: Batch, plan: Plan) -> Answers:
        """The same example by example, for an evaluation."""


kinds: Registry[type[Kind]] = Registry("kind of task")


def kind_of(plan: Plan) -> Kind:
    return kinds[plan.task.type]()


def label_indices(examples: Examples, labels: Sequence[str]) -> list[int]:
    """Each example's label as its place in the plan's list. Raises `ModellingRefused`."""
    if examples.labels is None:
        raise ModellingRefused("labels_missing", "classification needs a label for each example")
    index = {label: number for number, label in enumerate(labels)}
    unknown = sum(label not in index for label in examples.labels)
    if unknown:
        total = len(examples.labels)
        raise ModellingRefused(
            "unknown_label", f"{unknown} of {total} examples have a label the plan does not list"
        )
    return [index[label] for label in examples.labels]
