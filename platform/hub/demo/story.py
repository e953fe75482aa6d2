"""What the demonstration does: train together, then alone and pooled, and compare."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from federation.plan import Plan, ValuationSpec
from federation.plan_rewards import Rewards
from hub.catalogue.models import Evaluation
from hub.catalogue.selectors import pooled
from hub.demo.world import Place, World
from hub.runs.models import Purpose, Run, RunState, Task, TaskState
from hub.runs.services import create_run, start_run

ENDED = {RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED}


class StoryFailed(Exception):
    """A run of the demonstration did not complete; says why."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: a sentence, and done of total in tasks."""

    sentence: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Accuracies on the pooled test, measured by the platform."""

    before: float
    after: float
    alone: dict[str, float] = field(default_factory=dict)
    pooled: float | None = None
    by_organisation: dict[str, tuple[float, float]] = field(default_factory=dict)
    version: int = 0
    version_digest: str = ""


def start(
    world: World, plan: Plan, *, name: str, purpose: Purpose, trainers: Sequence[Place]
) -> Run:
    """Create and start a run in which `trainers` train and every place evaluates."""
    run = create_run(
        user=world.lead,
        federation_id=world.federation.pk,
        name=name,
        plan=plan,
        purpose=purpose,
        trainers=[place.participation.pk for place in trainers],
        evaluators=[place.participation.pk for place in world.places],
    )
    return start_run(user=world.lead, run_id=run.pk)


def comparison_plan(plan: Plan) -> Plan:
    """The same plan for one party at a time, evaluated once at the end."""
    return plan.model_copy(
        update={
            "rounds": plan.rounds.model_copy(update={"quorum": 1}),
            "evaluation": plan.evaluation.model_copy(update={"every": "last"}),
            "valuation": ValuationSpec(),
            "rewards": Rewards(),
        }
    )


def start_comparisons(world: World, plan: Plan) -> tuple[dict[str, Run], Run]:
    """Each organisation alone, and one party with everybody's data."""
    single = comparison_plan(plan)
    alone = {
        place.data.name: start(
            world, single, name=f"{place.data.name} alone", purpose=Purpose.SOLO, trainers=[place]
        )
        for place in world.places
    }
    together = start(
        world,
        _as_many_steps(single, len(world.places)),
        name=str(Purpose.REFERENCE.label),
        purpose=Purpose.REFERENCE,
        trainers=[world.reference],
    )
    return alone, together


def _as_many_steps(plan: Plan, parties: int) -> Plan:
    """For one party that does the work of several: where steps are limited, so many times more."""
    most = plan.training.max_steps
    training = plan.training.model_copy(update={"max_steps": most and most * parties})
    return plan.model_copy(update={"training": training})


def follow(runs: Sequence[Run], *, every: float = 0.5) -> Iterator[Progress]:
    """Yield the progress until all runs have ended.

    Raises:
        StoryFailed: one of them did not complete.
    """
    ids = [run.pk for run in runs]
    total = sum(_tasks_expected(run) for run in runs)
    while True:
        present = list(Run.objects.filter(pk__in=ids).order_by("number"))
        yield Progress(_sentence(present), _tasks_done(ids), total)
        if all(run.state in ENDED for run in present):
            break
        time.sleep(every)
    for run in present:
        if run.state != RunState.COMPLETED:
            last = run.rounds.order_by("-number").first()
            why = last.summary if last else run.failure_code
            raise StoryFailed(f"{run.name}: {run.state}. {why}")


def _tasks_expected(run: Run) -> int:
    plan = run.typed_plan
    evaluated = plan.rounds.count if plan.evaluation.every == "round" else 1
    return plan.rounds.count * len(run.trainers) + evaluated * len(run.evaluators)


def _tasks_done(run_ids: Sequence[UUID]) -> int:
    return Task.objects.filter(round__run__in=run_ids, state=TaskState.COMPLETED).count()


def _sentence(runs: Sequence[Run]) -> str:
    if len(runs) > 1:
        done = sum(run.state in ENDED for run in runs)
        return f"{done} of {len(runs)} comparisons done"
    (run,) = runs
    current = run.rounds.order_by("-number").first()
    if current is None:
        return f"run {run.state}"
    return f"round {current.number} of {run.typed_plan.rounds.count}: {current.state}"


def accuracy(run: Run, round_number: int) -> float:
    """On the pooled test: right answers of all organisations over examples of all."""
    measured = pooled(Evaluation.objects.filter(run_id=run.pk, round_number=round_number))
    if measured.accuracy is None:
        raise StoryFailed(f"{run.name} has no evaluation of round {round_number}")
    return measured.accuracy


def last_round(run: Run) -> int:
    return run.typed_plan.rounds.count


def outcome(world: World, run: Run) -> Outcome:
    """Before and after of the federated run."""
    last = run.rounds.select_related("version").get(number=last_round(run))
    assert last.version is not None
    return Outcome(
        before=accuracy(run, 0),
        after=accuracy(run, last.number),
        by_organisation={
            place.data.name: (_own(run, 0, place), _own(run, last.number, place))
            for place in world.places
        },
        version=last.version.number,
        version_digest=last.version.adapter_id,
    )


def _own(run: Run, round_number: int, place: Place) -> float:
    own = Evaluation.objects.filter(
        run_id=run.pk, round_number=round_number, participation=place.participation
    )
    return pooled(own).accuracy or 0.0
