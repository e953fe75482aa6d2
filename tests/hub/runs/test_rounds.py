from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from hub.catalogue.models import Evaluation, ModelVersion
from hub.common.models import OutboxMessage
from hub.contributions.models import ContributionFact
from hub.contributions.services import meter_the_rest
from hub.dispatch import Job
from hub.runs import services
from hub.runs.errors import StaleClaim
from hub.runs.models import Round, Run, Task, Update
from jobs.aggregation import aggregate_claimed
from jobs.compute import aggregate_round, compare_updates
from tests.hub.runs.world import World, make_world, plan_of


def frozen_run(world: World, **rounds: int) -> Run:
    run = world.start_run(plan_of(**rounds))
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    return run


def overdue() -> None:
    Round.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))


def test_a_round_closes_as_soon_as_the_last_update_is_in(world: World) -> None:
    run = frozen_run(world)
    assert run.rounds.get().state == "aggregating"
    digests = [entry["sha256"] for entry in run.rounds.get().frozen]
    assert digests == sorted(digests)
    assert len(digests) == 3


def test_a_round_waits_for_the_last_update_until_its_deadline(world: World) -> None:
    run = world.start_run()
    for site in world.sites[:2]:
        world.train(site)
    world.judge(run)
    services.advance_run(run_id=run.pk)
    assert run.rounds.get().state == "collecting"
    overdue()
    world.freeze(run)
    first = run.rounds.get()
    assert first.state == "aggregating"
    assert first.tasks.filter(state="cancelled").count() == 1


def test_closing_without_somebody_says_who_and_why(world: World) -> None:
    run = world.start_run(plan_of(count=1))
    for site in world.sites[:2]:
        world.train(site)
    overdue()
    world.aggregate(run)
    for site in world.sites[:2]:
        world.evaluate(site)
    overdue()
    services.advance_run(run_id=run.pk)
    missing = world.sites[2].agent.organisation.name
    assert run.rounds.get().summary == f"Closed with 2 of 3: {missing} missed the deadline."


def test_a_missed_quorum_fails_the_run_with_the_reason(world: World) -> None:
    run = world.start_run()
    world.train(world.sites[0])
    world.judge(run)
    overdue()
    services.advance_run(run_id=run.pk)
    services.advance_run(run_id=run.pk)
    run.refresh_from_db()
    assert (run.state, run.failure_code) == ("failed", "quorum_missed")
    assert "Only 1 of 3 came in, 2 are needed" in run.rounds.get().summary
    meter_the_rest()
    meter_the_rest()
    outcomes = ContributionFact.objects.values_list("outcome", flat=True)
    assert sorted(outcomes) == ["accepted", "missed", "missed"]


def test_a_frozen_round_can_be_claimed_once(world: World) -> None:
    run = frozen_run(world)
    claim = services.claim_aggregation(round_id=world.round_id(run))
    assert claim is not None
    assert claim.fence == 2  # the first was the comparison's
    assert claim.evidence is not None
    assert services.claim_aggregation(round_id=world.round_id(run)) is None


def test_an_overtaken_worker_writes_nothing(world: World) -> None:
    run = frozen_run(world)
    slow = services.claim_aggregation(round_id=world.round_id(run))
    Round.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    aggregate_round(str(world.round_id(run)))
    with pytest.raises(StaleClaim):
        aggregate_claimed(slow)
    assert ModelVersion.objects.count() == 1
    assert ContributionFact.objects.count() == 3


def test_aggregating_twice_changes_nothing(world: World) -> None:
    run = frozen_run(world)
    aggregate_round(str(world.round_id(run)))
    aggregate_round(str(world.round_id(run)))
    assert ModelVersion.objects.count() == 1


def test_equal_inputs_give_equal_versions(world: World) -> None:
    digests = set()
    for _ in range(2):
        run = frozen_run(world, count=1)
        aggregate_round(str(world.round_id(run)))
        digests.add(run.rounds.get().version.adapter_id)
        services.cancel_run(user=world.lead, run_id=run.pk)
    assert len(digests) == 1


def test_a_round_that_kills_its_workers_fails_after_five_tries(world: World) -> None:
    run = frozen_run(world)
    for _ in range(5):
        assert services.claim_aggregation(round_id=world.round_id(run)) is not None
        Round.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert services.claim_aggregation(round_id=world.round_id(run)) is None
    run.refresh_from_db()
    assert (run.state, run.failure_code) == ("failed", "gave_up")


def test_an_unfrozen_round_cannot_be_aggregated(world: World) -> None:
    run = world.start_run()
    aggregate_round(str(world.round_id(run)))
    assert run.rounds.get().state == "collecting"
    assert ModelVersion.objects.count() == 0


def test_the_first_evaluation_measures_the_start_too(world: World) -> None:
    run = world.start_run(plan_of(count=2))
    world.play_round(run)
    world.play_round(run)
    rounds = Evaluation.objects.filter(run_id=run.pk).values_list("round_number", flat=True)
    assert sorted(rounds) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_an_evaluation_again_changes_nothing(world: World) -> None:
    run = frozen_run(world, count=1)
    aggregate_round(str(world.round_id(run)))
    world.evaluate(world.sites[0])
    task = Task.objects.get(type="evaluate", state="completed")
    from federation.protocol import EvaluationIn, EvaluationResult

    again = EvaluationIn(
        fence=task.fence, results=(EvaluationResult(name="1", examples=1, correct=0, loss_sum=1),)
    )
    services.submit_evaluation(agent=world.sites[0].agent, task_id=task.pk, message=again)
    assert Evaluation.objects.filter(round_number=1).get().examples == 10


def test_what_was_lost_with_the_broker_is_asked_for_again(world: World) -> None:
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    long_ago = timezone.now() - timedelta(minutes=5)
    OutboxMessage.objects.all().delete()
    Update.objects.update(created_at=long_ago)
    services.reconcile()
    assert OutboxMessage.objects.filter(job=Job.VALIDATE_UPDATE).count() == 3
    services.reconcile()
    assert OutboxMessage.objects.filter(job=Job.VALIDATE_UPDATE).count() == 3
    world.judge(run)
    OutboxMessage.objects.all().delete()
    services.reconcile()
    assert OutboxMessage.objects.filter(job=Job.ADVANCE_RUN).count() == 1
    services.advance_run(run_id=run.pk)
    assert OutboxMessage.objects.filter(job=Job.COMPARE_UPDATES).count() == 1
    compare_updates(str(world.round_id(run)))
    OutboxMessage.objects.all().delete()
    Round.objects.update(state_changed_at=long_ago)
    services.reconcile()
    assert OutboxMessage.objects.get().job == Job.AGGREGATE_ROUND


@pytest.mark.django_db(transaction=True)
def test_two_aggregators_at_once_make_one_version(tmp_path: object) -> None:
    world = make_world(tmp_path)
    run = frozen_run(world, count=1)
    round_id = str(world.round_id(run))

    def work() -> None:
        aggregate_round(round_id)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert ModelVersion.objects.count() == 1
    assert run.rounds.get().state == "evaluating"


@pytest.mark.django_db(transaction=True)
def test_many_coordinators_open_each_round_once(tmp_path: object) -> None:
    world = make_world(tmp_path)
    run = frozen_run(world, count=2)
    aggregate_round(str(world.round_id(run)))
    for site in world.sites:
        world.evaluate(site)

    def work() -> None:
        services.advance_run(run_id=run.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert [r.state for r in run.rounds.all()] == ["closed", "collecting"]
    assert run.rounds.get(number=2).tasks.count() == 3
