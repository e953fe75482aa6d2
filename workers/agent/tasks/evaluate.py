"""Measure adapters on the site's test data; only sums leave, and they add up exactly."""

from __future__ import annotations

import time
from functools import partial

from agent.tasks.base import Delivery, Work, task_types
from federation.failpoints import failpoint
from federation.protocol import EvaluateSpec, EvaluationIn, EvaluationResult, TaskType


@task_types.register(TaskType.EVALUATE)
class Evaluate:
    def perform(self, work: Work) -> EvaluationIn:
        spec = work.entry.offer.spec
        assert isinstance(spec, EvaluateSpec)
        examples = work.examples("test", spec.plan)
        base = work.fetcher.base(spec.base)
        adapters = [work.fetcher.artifact(candidate.adapter) for candidate in spec.candidates]
        from federation.modelling import evaluate

        work.reporter.enter("evaluating")
        began, results = time.process_time(), []
        for part, (candidate, adapter) in enumerate(zip(spec.candidates, adapters, strict=True)):
            measured = evaluate(
                base=base,
                plan=spec.plan,
                adapter=adapter,
                examples=examples,
                on_step=partial(work.reporter.step, "evaluating", part=part, parts=len(adapters)),
                device=work.devices[0],
            )
            results.append(
                EvaluationResult(
                    name=candidate.name,
                    examples=measured.examples,
                    correct=measured.correct,
                    tokens=measured.tokens,
                    loss_sum=measured.loss_sum,
                )
            )
        return EvaluationIn(
            fence=work.entry.offer.fence,
            results=tuple(results),
            device_seconds=time.process_time() - began,
        )

    async def upload(self, delivery: Delivery) -> None:
        """The numbers travel in the message itself."""

    async def submit(self, delivery: Delivery) -> None:
        failpoint("W16", "before")
        await delivery.hub.post(
            f"{delivery.path}/evaluations", delivery.submission, key=delivery.key("evaluation")
        )
        failpoint("W16", "after")
