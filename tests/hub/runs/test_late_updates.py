"""Rounds that close with the first updates, and count the late ones in a later round."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import sqrt
from pathlib import Path
from threading import Barrier

import pytest
from django.db import connection
from safetensors.torch import load_file

from federation.plan import Aggregation, Evaluation, Plan
from federation.protocol import TaskOffer
from hub.catalogue.blobs.storage import store
from hub.contributions.models import ContributionFact
from hub.contributions.services import meter_the_rest
from hub.runs import services
from hub.runs.errors import DuplicateContent, TaskOver
from hub.runs.models import Round, Run, Task, Update
from jobs.aggregation import compute
from jobs.compute import aggregate_round, compare_updates
from tests.hub.runs.test_rounds import overdue
from tests.hub.runs.world import HEAD, Site, World, make_world, plan_of


def buffered(**rounds: int | str) -> Plan:
    """Two of three updates close a round; weights are averaged and nothing is evaluated."""
    plan = plan_of(**{"count": 3, "buffer": 2, "late": "count", **rounds})
    parts = {
        "aggregation": Aggregation(strategy="fedavg", clip=1e9),
        "evaluation": Evaluation(every="never"),
    }
    return plan.model_copy(update=parts)


def begun(world: World, plan: Plan | None = None) -> tuple[Run, TaskOffer]:
    """The third site has begun round 1; the other two have closed it."""
    run = world.start_run(plan or buffered())
    offer = world.lease(world.sites[2])
    for site in world.sites[:2]:
        world.train(site)
    world.aggregate(run)
    return run, offer


def head_of(sha256: str) -> object:
    return load_file(store().local_path(sha256))[HEAD].double()


def test_a_round_closes_with_the_first_updates_and_lets_the_others_go_on(world: World) -> None:
    run, offer = begun(world)
    first, second = run.rounds.order_by("number")
    assert (first.state, second.state) == ("closed", "collecting")
    assert len(first.frozen) == 2
    third = world.sites[2].agent.organisation.name
    assert first.summary == f"Closed with 2 of 3: {third} is still training."
    assert Task.objects.get(pk=offer.id).state == "leased"


def test_what_nobody_has_begun_is_withdrawn(world: World) -> None:
    run = world.start_run(buffered())
    for site in world.sites[:2]:
        world.train(site)
    world.aggregate(run)
    assert list(run.rounds.get(number=1).tasks.filter(state="cancelled").values_list("state")) == [
        ("cancelled",)
    ]


def test_a_late_update_counts_in_the_next_round_from_its_own_start(world: World) -> None:
    run, offer = begun(world)
    world.train(world.sites[2], offer)
    world.train(world.sites[0])
    world.aggregate(run)
    first, second, _ = run.rounds.order_by("number")
    late, fresh = Update.objects.get(round=first, counted_in=second), second.updates.get()
    assert {e["update"]: e["staleness"] for e in second.frozen} == {
        str(late.pk): 1,
        str(fresh.pk): 0,
    }
    share = (1 / sqrt(2)) / (1 + 1 / sqrt(2))
    said = {c["update"]: c for c in second.version.contributors}
    assert said[str(late.pk)]["staleness"] == 1
    assert said[str(late.pk)]["weight"] == pytest.approx(share)
    assert "staleness" not in said[str(fresh.pk)]
    before, old = head_of(second.start_id), head_of(first.start_id)
    expected = (
        before
        + share * (head_of(late.artifact_id) - old)
        + (1 - share) * (head_of(fresh.artifact_id) - before)
    )
    assert (head_of(second.version.adapter_id) - expected).abs().max() < 1e-5
    assert second.summary.startswith("Closed with 1 of 3 and 1 late update")


def test_computing_a_round_with_late_updates_again_gives_the_same_bytes(
    world: World, tmp_path
) -> None:
    run, offer = begun(world)
    world.train(world.sites[2], offer)
    world.train(world.sites[0])
    world.freeze(run)
    claim = services.claim_aggregation(round_id=world.round_id(run))
    assert claim is not None
    first, again = (compute(claim, tmp_path / f"{i}", tmp_path / f"s{i}") for i in range(2))
    assert first.digest == again.digest


def test_an_update_counts_in_one_round_of_the_run_only(world: World) -> None:
    run, offer = begun(world)
    world.train(world.sites[2], offer)
    for number in (2, 3):
        for site in world.sites[:2]:
            world.train(site)
        world.aggregate(run)
        services.advance_run(run_id=run.pk)
        assert run.rounds.get(number=number).state == "closed"
    counted = [e["update"] for one in run.rounds.all() for e in one.frozen]
    assert len(counted) == len(set(counted)) == Update.objects.count()
    run.refresh_from_db()
    assert run.state == "completed"


def test_late_updates_may_close_a_round_by_themselves(world: World) -> None:
    run = world.start_run(buffered(quorum=1, buffer=1))
    slow = [(site, world.lease(site)) for site in world.sites[1:]]
    world.train(world.sites[0])
    world.aggregate(run)
    site, offer = slow[0]
    world.train(site, offer)
    world.aggregate(run)
    second = run.rounds.get(number=2)
    assert [entry["staleness"] for entry in second.frozen] == [1]
    site, offer = slow[1]
    world.train(site, offer)
    world.aggregate(run)
    assert [entry["staleness"] for entry in run.rounds.get(number=3).frozen] == [2]


def test_a_buffer_for_all_without_late_updates_is_a_plain_round(world: World) -> None:
    results = set()
    for late in ("count", "record", "refuse"):
        whole = buffered(buffer=3, count=1, late=late)
        rounds = whole.rounds.model_copy(update={"buffer": None})
        for plan in (whole, whole.model_copy(update={"rounds": rounds})):
            run = world.start_run(plan)
            for site in world.sites:
                world.train(site)
            world.aggregate(run)
            results.add(run.rounds.get().version.adapter_id)
    assert len(results) == 1


def test_without_a_buffer_a_round_waits_for_its_deadline_and_the_late_one_counts(
    world: World,
) -> None:
    run = world.start_run(buffered(buffer=3).model_copy(update={"rounds": unbuffered()}))
    offer = world.lease(world.sites[2])
    for site in world.sites[:2]:
        world.train(site)
    world.freeze(run)
    assert run.rounds.get().state == "collecting"
    overdue()
    world.aggregate(run)
    world.train(world.sites[2], offer)
    for site in world.sites:
        world.train(site)
    world.aggregate(run)
    assert sorted(e["staleness"] for e in run.rounds.get(number=2).frozen) == [0, 0, 0, 1]


def unbuffered():
    return buffered().rounds.model_copy(update={"buffer": None})


def test_a_buffer_without_counting_late_ones_withdraws_the_rest(world: World) -> None:
    run = world.start_run(buffered(late="refuse"))
    offer = world.lease(world.sites[2])
    for site in world.sites[:2]:
        world.train(site)
    world.aggregate(run)
    assert Task.objects.get(pk=offer.id).state == "cancelled"
    with pytest.raises(TaskOver):
        world.train(world.sites[2], offer)


def test_an_update_may_not_be_sent_again_in_another_round(world: World) -> None:
    run, offer = begun(world)
    world.train(world.sites[2], offer)
    path = world.update_file(offer, world.sites[2])
    again = world.lease(world.sites[2])
    assert again.round == 2
    world.upload(world.sites[2], again, path)
    message = world.statement(world.sites[2], again, path)
    with pytest.raises(DuplicateContent):
        services.submit_update(agent=world.sites[2].agent, task_id=again.id, message=message)
    assert run.rounds.count() == 2


def test_the_end_of_a_run_lets_everything_go(world: World) -> None:
    run = world.start_run(buffered(count=1))
    offer = world.lease(world.sites[2])
    for site in world.sites[:2]:
        world.train(site)
    world.aggregate(run)
    run.refresh_from_db()
    assert run.state == "completed"
    assert Task.objects.get(pk=offer.id).state == "cancelled"
    with pytest.raises(TaskOver):
        world.train(world.sites[2], offer)


def test_what_is_accepted_and_never_counts_is_late_in_the_ledger(world: World) -> None:
    run, offer = begun(world)
    world.train(world.sites[2], offer)
    world.judge(run)
    services.cancel_run(user=world.lead, run_id=run.pk)
    assert Update.objects.get(task_id=offer.id).is_late
    meter_the_rest()
    outcomes = ContributionFact.objects.filter(update__task_id=offer.id)
    assert [fact.outcome for fact in outcomes] == ["late"]


def test_a_late_update_is_metered_where_it_counts(world: World) -> None:
    run, offer = begun(world)
    participation = Task.objects.get(pk=offer.id).participation
    facts = ContributionFact.objects.filter(participation=participation).order_by("id")
    assert [fact.outcome for fact in facts] == ["missed"]
    world.train(world.sites[2], offer)
    world.train(world.sites[0])
    world.aggregate(run)
    _, accepted = facts.filter(round__number=1)
    assert accepted.outcome == "accepted"
    assert accepted.weight == pytest.approx((1 / sqrt(2)) / (1 + 1 / sqrt(2)))
    second = ContributionFact.objects.filter(round__number=2)
    assert sorted(f.outcome for f in second) == ["accepted", "missed", "missed"]


def test_a_round_that_is_advanced_and_computed_again_counts_each_once(world: World) -> None:
    run, offer = begun(world)
    world.train(world.sites[2], offer)
    world.train(world.sites[0])
    world.freeze(run)
    services.advance_run(run_id=run.pk)
    aggregate_round(str(world.round_id(run)))
    aggregate_round(str(Round.objects.get(run=run, number=2).pk))
    assert Update.objects.filter(counted_in__number=2).count() == 2
    assert Update.objects.filter(counted_in__isnull=True).count() == 0


@pytest.mark.django_db(transaction=True)
def test_late_updates_that_arrive_while_a_round_freezes_count_once_or_wait(tmp_path: Path) -> None:
    """Two late ones and the last fresh one come in while four coordinators look for a step."""
    world = make_world(tmp_path, members=4)
    run = world.start_run(buffered(count=2))
    late = [(site, world.lease(site)) for site in world.sites[2:]]
    for site in world.sites[:2]:
        world.train(site)
    world.aggregate(run)
    second = run.rounds.get(number=2)
    world.train(world.sites[0])
    arriving = [*late, (world.sites[1], world.lease(world.sites[1]))]
    barrier = Barrier(len(arriving) + 4)

    def arrive(site: Site, offer: TaskOffer) -> None:
        barrier.wait()
        world.train(site, offer)
        world.judge(run)

    def coordinate() -> None:
        barrier.wait()
        deadline = time.monotonic() + 60
        while Round.objects.get(pk=second.pk).state == "collecting":
            assert time.monotonic() < deadline, "the round does not freeze"
            services.advance_run(run_id=run.pk)
            compare_updates(str(second.pk))

    at_once([*(partial(arrive, *one) for one in arriving), *[coordinate] * 4])
    aggregate_round(str(second.pk))
    second.refresh_from_db()
    frozen = {entry["update"] for entry in second.frozen}
    counted = Update.objects.filter(counted_in=second).values_list("pk", flat=True)
    assert frozen == set(map(str, counted))
    assert {one["update"] for one in second.version.contributors} == frozen
    assert 2 <= len(frozen) <= 4
    rest = Update.objects.filter(counted_in__isnull=True)
    assert Update.objects.count() == 2 + len(frozen) + rest.count() == 6
    assert Run.objects.get(pk=run.pk).state == "completed"


def at_once(doings: Sequence[Callable[[], None]]) -> None:
    """Each in a thread of its own, with a connection of its own; what one raises, this raises."""

    def doing(work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(doings)) as pool:
        for done in [pool.submit(doing, work) for work in doings]:
            done.result()
