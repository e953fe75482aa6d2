"""Rounds that have been valued: sites really train, and a worker really measures."""

from __future__ import annotations

from pathlib import Path

from federation.plan import ValuationSpec
from hub.common.models import OutboxMessage
from hub.contributions.models import Valuation
from hub.dispatch import Job
from hub.runs.models import Round, Run
from jobs.compute import aggregate_round, value_round
from tests.hub.runs.probed import ProbedWorld, make_probed, plan_of

SHAPLEY = ValuationSpec(method="shapley", examples=30)


def make_valued(folder: Path, *, members: int = 3) -> ProbedWorld:
    world = make_probed(folder, members=members)
    world.add_probe()
    return world


def played(world: ProbedWorld, spec: ValuationSpec = SHAPLEY, **parts: object) -> Run:
    """A run of one round, whose version is published; nothing of it is valued yet."""
    run = world.start_run(plan_of(valuation=spec, **parts))
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    aggregate_round(str(world.round_id(run)))
    run.refresh_from_db()
    return run


def work() -> None:
    """Do what compute workers would with the messages of this kind, each twice."""
    done = 0
    while messages := OutboxMessage.objects.filter(job=Job.VALUE_ROUND, pk__gt=done).order_by("pk"):
        message = messages[0]
        done = message.pk
        value_round(*message.arguments)
        value_round(*message.arguments)


def only(run: Run) -> Round:
    return run.rounds.select_related("run__federation", "version").get()


def valuation_of(run: Run) -> Valuation:
    return Valuation.objects.select_related("round__run__federation").get(round__run=run)
