"""Measure adapters on the site's test data; only sums leave, and they add up exactly."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.measured import Measured
from agent.tasks.base import Delivery, Work, task_types
from federation.failpoints import failpoint
from federation.modelling import Evaluated, Examples
from federation.protocol import EvaluateSpec, EvaluationIn, TaskType
from federation.tallies import Rows, result_of


@task_types.register(TaskType.EVALUATE)
class Evaluate:
    def perform(self, work: Work) -> EvaluationIn:
        spec = work.entry.offer.spec
        assert isinstance(spec, EvaluateSpec)
        examples = work.examples("test", spec.plan)
        base = work.fetcher.base(spec.base)
        adapters = [work.fetcher.artifact(candidate.adapter) for candidate in spec.candidates]
        work.reporter.enter("evaluating")
        began = time.process_time()
        known = Measured(work.home, spec, examples.fingerprint())
        place = _Place(work, spec, base, examples)
        found = {
            candidate.name: known.once(
                candidate.adapter.sha256, partial(place.measured, adapter, part)
            )
            for part, (candidate, adapter) in enumerate(zip(spec.candidates, adapters, strict=True))
        }
        beside = _reference(spec, found)
        return EvaluationIn(
            fence=work.entry.offer.fence,
            results=tuple(
                result_of(name, one.rows, one.scores, None if name == spec.reference else beside)
                for name, one in found.items()
            ),
            device_seconds=time.process_time() - began,
        )

    async def upload(self, delivery: Delivery) -> None:
        """The numbers travel in the message itself."""

    async def submit(self, delivery: Delivery) -> None:
        message = EvaluationIn.model_validate(delivery.submission)  # less of it for an older hub
        failpoint("W16", "before")
        await delivery.hub.post(
            f"{delivery.path}/evaluations", message, key=delivery.key("evaluation")
        )
        failpoint("W16", "after")


@dataclass(frozen=True, slots=True)
class _Place:
    """What is the same for all candidates of a task."""

    work: Work
    spec: EvaluateSpec
    base: Path
    examples: Examples

    def measured(self, adapter: Path, part: int) -> Evaluated:
        from federation.modelling import evaluate

        report, parts = self.work.reporter.step, len(self.spec.candidates)
        return evaluate(
            base=self.base,
            plan=self.spec.plan,
            adapter=adapter,
            examples=self.examples,
            on_step=partial(report, "evaluating", part=part, parts=parts),
            device=self.work.devices[0],
        )


def _reference(spec: EvaluateSpec, found: dict[str, Evaluated]) -> Rows | None:
    """What the others are compared with, where the hub named it."""
    one = found.get(spec.reference or "")
    return one.rows if one else None
