"""What an evaluation measures beside a round's version, and what is kept of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from federation.plan import Plan
from federation.plan_tasks import Labelled
from federation.protocol import ArtifactRef, Candidate, EvaluationResult
from federation.tallies import inconsistencies
from hub.catalogue.errors import EvaluationInconsistent
from hub.catalogue.models import BASE_ROUND, Artifact, ModelVersion
from hub.catalogue.selectors import released_version
from hub.catalogue.versions.registry import record_evaluation
from hub.common.errors import Invalid
from hub.runs.models import Purpose, Run, Task
from hub.runs.services.declared import check_tested
from hub.runs.services.lifecycle import first_evaluated_round

# How candidates are called; the round's version is called by the round's number.
START, BASE, REFERENCE = "0", "base", "reference"


def reference_for(run: Run) -> ModelVersion | None:
    """What the federation uses, where the run's plan can measure it; None: the run's start."""
    released = released_version(run.federation)
    if released is None or run.purpose != Purpose.FEDERATED:
        return None
    theirs = Plan.model_validate_json(json.dumps(released.plan))
    is_same_base = released.base_model_id == run.federation.base_model_id
    return released if is_same_base and _shape(theirs) == _shape(run.typed_plan) else None


def _shape(plan: Plan) -> tuple[object, ...]:
    """What an adapter has to fit to be measured by a plan."""
    return plan.task, plan.adapter, plan.aggregation.strategy


@dataclass(frozen=True, slots=True)
class Asked:
    """What a task measures, by name, and which of them the others are compared with."""

    adapters: Mapping[str, Artifact]
    reference: str | None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(name=name, adapter=ArtifactRef(sha256=one.sha256, size_bytes=one.size_bytes))
            for name, one in self.adapters.items()
        )


def asked_of(task: Task) -> Asked:
    """In a run's first evaluation the start too, and the base itself, so that charts begin there.

    Needs `round.run` and `round.version`.
    """
    current, run = task.round, task.round.run
    assert current.version is not None
    is_first = current.number == first_evaluated_round(run.typed_plan)
    reference = current.reference
    is_start = reference is None or reference.adapter_id == run.start_id
    found: dict[str, Artifact] = {}
    if is_first and (base := base_start(run)):
        found[BASE] = base
    if run.start is not None and (is_first or is_start):
        found[START] = run.start
    if reference is not None and not is_start:
        found[REFERENCE] = reference.adapter
    named = START if is_start else REFERENCE
    found[str(current.number)] = current.version.adapter
    return Asked(found, named if named in found else None)


def base_start(run: Run) -> Artifact | None:
    """An adapter that leaves the base as it is, for a run that began with a version of ours.

    It is the one with which the federation's first run of this kind began.
    """
    if run.parent_version_id is None:
        return None
    alike = Run.objects.filter(
        federation=run.federation_id,
        parent_version__isnull=True,
        start__isnull=False,
        plan__task=run.plan["task"],
        plan__adapter=run.plan["adapter"],
        plan__aggregation__strategy=run.plan["aggregation"]["strategy"],
    )
    first = alike.select_related("start").order_by("number").first()
    return first.start if first else None


def record_results(task: Task, results: Iterable[EvaluationResult]) -> None:
    """Keep what was measured; of the reference, what is in the comparison with it.

    Raises:
        Invalid: nobody asked for it.
        EvaluationInconsistent: these cannot be the sums of one test set.
        ExamplesAboveDeclaration: nor of one as small as the organisation has declared.
    """
    asked, plan = asked_of(task), task.round.run.typed_plan
    for result in results:
        if result.name not in asked.adapters:
            raise Invalid(f"nobody asked for an evaluation of {result.name!r}")
        check_result(plan, result)
        check_tested(task.participation, result.examples)
        if result.name != REFERENCE:
            _record(task, result, asked.adapters[result.name])


def _record(task: Task, result: EvaluationResult, adapter: Artifact) -> None:
    current = task.round
    is_version = result.name == str(current.number)
    rounds = {START: 0, BASE: BASE_ROUND, str(current.number): current.number}
    record_evaluation(
        adapter_id=adapter.pk,
        version=current.version if is_version else None,
        participation=task.participation,
        run_id=current.run_id,
        round_number=rounds[result.name],
        result=result,
        against=current.reference,
    )


def check_result(plan: Plan, result: EvaluationResult) -> None:
    """Raises EvaluationInconsistent."""
    labels = len(plan.task.labels) if isinstance(plan.task, Labelled) else 0
    for why in inconsistencies(result, labels):
        raise EvaluationInconsistent(f"of {result.name!r}, {why}")
