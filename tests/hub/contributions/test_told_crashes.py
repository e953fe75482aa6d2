"""The process is killed before and after each durable write of a round; each act is told once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from django.db import connections

from federation.protocol import EvaluationIn, EvaluationResult
from hub.runs import services
from hub.runs.models import Run, Update
from tests.hub.contributions.story import founded_world, told
from tests.hub.runs.world import World, plan_of

MARKS = count()


def killed_at(point: str, folder: Path, act: Callable[[], object]) -> None:
    """Do it in a process of its own that dies at the point."""
    connections["default"].close()
    connections["default"].close_pool()
    child = os.fork()
    if child == 0:
        try:
            mark = str(folder / f"mark-{next(MARKS)}-{point}")
            os.environ |= {"FOEDUS_FAILPOINT": point, "FOEDUS_FAILPOINT_MARK": mark}
            act()
        finally:
            os._exit(1)  # nothing of the tests goes on in the child
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, point


def survived(point: str, folder: Path, act: Callable[[], object]) -> object:
    """What comes of it in the end, after a death before it and another one after it."""
    for when in ("before", "after"):
        killed_at(f"{point}:{when}", folder, act)
    return act()


def begun(world: World) -> Run:
    run = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="First", plan=plan_of(count=1)
    )
    services.start_run(user=world.lead, run_id=run.pk)
    return run


def trained(world: World, folder: Path) -> None:
    """The first site's process dies as it submits, the others' do not."""
    first, *others = world.sites
    offer = world.lease(first)
    path = world.update_file(offer, first)
    world.upload(first, offer, path)
    message = world.statement(first, offer, path)
    survived(
        "W09",
        folder,
        lambda: services.submit_update(agent=first.agent, task_id=offer.id, message=message),
    )
    for site in others:
        world.train(site)


def evaluated(world: World, folder: Path) -> None:
    first, *others = world.sites
    offer = world.lease(first)
    results = tuple(
        EvaluationResult(name=one.name, examples=10, correct=5, loss_sum=3.0)
        for one in offer.spec.candidates
    )
    message = EvaluationIn(fence=offer.fence, results=results)
    survived(
        "W16",
        folder,
        lambda: services.submit_evaluation(agent=first.agent, task_id=offer.id, message=message),
    )
    for site in others:
        world.evaluate(site)


@pytest.mark.django_db(transaction=True)
def test_an_act_that_was_killed_before_and_after_is_told_once(tmp_path: Path) -> None:
    world = founded_world(tmp_path)
    run, start = begun(world), world.start()
    survived("W01", tmp_path, lambda: services.run_prepared(run_id=run.pk, start=start))
    trained(world, tmp_path)
    one = Update.objects.order_by("created_at")[0].pk
    survived(
        "W10",
        tmp_path,
        lambda: services.record_verdict(update_id=one, verdict="accepted", norm=1.0),
    )
    world.aggregate(run)
    evaluated(world, tmp_path)
    services.advance_run(run_id=run.pk)
    found = told(world)
    assert [entry.position for entry in found] == list(range(len(found)))
    assert Counter(entry.type for entry in found if "key" not in entry.type) == {
        "federation.founded": 1,
        "charter.signed": 3,
        "participation.admitted": 3,
        "run.started": 1,
        "round.opened": 1,
        "update.submitted": 3,
        "update.judged": 3,
        "round.closed": 1,
        "version.published": 1,
        "evaluation.recorded": 6,
    }
