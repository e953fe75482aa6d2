"""What operators do to stuck work, called twice and against the state."""

from __future__ import annotations

from uuid import uuid4

import pytest

from hub.accounts.models import User
from hub.common.errors import NotFound
from hub.common.models import Event, OutboxMessage
from hub.dispatch import Job
from hub.federations.models import FederationState
from hub.operations import services
from hub.runs.errors import LeaseLost
from hub.runs.models import Run, RunState, Task, TaskState, Update
from hub.runs.services import pause_run
from tests.factories.accounts import PASSWORD, UserFactory
from tests.hub.runs.world import World


@pytest.fixture
def by(olga: User) -> dict[str, object]:
    return {"actor": olga.actor, "reason": "somebody waits"}


def asked(job: Job, about: object) -> int:
    return OutboxMessage.objects.filter(job=job, arguments=[str(about)]).count()


def test_a_requeued_task_is_offered_again_at_once(world: World, by: dict[str, object]) -> None:
    world.start_run()
    first = world.lease(world.sites[0])
    services.requeue_task(task_id=first.id, **by)
    again = world.lease(world.sites[0])
    assert again.id == first.id
    assert again.fence > first.fence


def test_requeueing_costs_the_site_no_attempt(world: World, by: dict[str, object]) -> None:
    world.start_run()
    task_id = world.lease(world.sites[0]).id
    services.requeue_task(task_id=task_id, **by)
    services.requeue_task(task_id=task_id, **by)
    task = Task.objects.get(pk=task_id)
    assert (task.state, task.attempts) == (TaskState.QUEUED, 0)


def test_who_held_a_requeued_task_is_refused(world: World, by: dict[str, object]) -> None:
    world.start_run()
    offer = world.lease(world.sites[0])
    services.requeue_task(task_id=offer.id, **by)
    with pytest.raises(LeaseLost):
        world.train(world.sites[0], offer)


def test_a_finished_task_stays_finished(world: World, by: dict[str, object]) -> None:
    world.start_run()
    world.train(world.sites[0])
    task = Update.objects.get().task
    services.requeue_task(task_id=task.pk, **by)
    task.refresh_from_db()
    assert task.state == TaskState.COMPLETED


@pytest.mark.parametrize(
    ("state", "job"), [("queued", Job.PREPARE_RUN), ("running", Job.ADVANCE_RUN)]
)
def test_a_nudged_run_is_asked_for_what_is_due(
    state: str, job: Job, world: World, by: dict[str, object]
) -> None:
    run = world.start_run()
    Run.objects.filter(pk=run.pk).update(state=state)
    before = asked(job, run.pk)
    services.nudge_run(run_id=run.pk, **by)
    assert asked(job, run.pk) == before + 1


def test_a_paused_run_is_left_in_peace(world: World, by: dict[str, object]) -> None:
    run = world.start_run()
    pause_run(user=world.lead, run_id=run.pk)
    OutboxMessage.objects.all().delete()
    services.nudge_run(run_id=run.pk, **by)
    assert not OutboxMessage.objects.exists()
    assert not Event.objects.filter(kind="run.nudged").exists()


def test_a_nudged_round_is_aggregated_if_it_is_frozen(world: World, by: dict[str, object]) -> None:
    run = world.start_run()
    rounds = run.rounds.all()
    services.nudge_round(round_id=rounds[0].pk, **by)
    assert asked(Job.ADVANCE_RUN, run.pk) == 1
    rounds.update(state="aggregating")
    services.nudge_round(round_id=rounds[0].pk, **by)
    assert asked(Job.AGGREGATE_ROUND, rounds[0].pk) == 1


def test_failing_a_run_ends_its_round_and_tasks_once(world: World, by: dict[str, object]) -> None:
    run = world.start_run()
    services.fail_run(run_id=run.pk, **by)
    services.fail_run(run_id=run.pk, **by)
    run.refresh_from_db()
    assert (run.state, run.failure_code) == (RunState.FAILED, "failed_by_operator")
    assert set(Task.objects.values_list("state", flat=True)) == {TaskState.CANCELLED}
    assert Event.objects.filter(kind="run.failed").count() == 1


def test_a_paused_federation_hands_out_nothing_until_resumed(
    world: World, by: dict[str, object]
) -> None:
    world.start_run()
    for _ in range(2):
        services.pause_federation(federation_id=world.federation.pk, **by)
    assert world.sites[0].lease(world.federation) is None
    for _ in range(2):
        services.resume_federation(federation_id=world.federation.pk, **by)
    assert world.sites[0].lease(world.federation)
    world.federation.refresh_from_db()
    assert world.federation.state == FederationState.ACTIVE
    assert Event.objects.filter(kind="federation.paused").count() == 1


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        (services.nudge_run, "run_id"),
        (services.nudge_round, "round_id"),
        (services.nudge_update, "update_id"),
        (services.requeue_task, "task_id"),
        (services.close_upload, "upload_id"),
        (services.pause_federation, "federation_id"),
        (services.fail_run, "run_id"),
    ],
)
def test_what_is_not_there_is_not_found(
    service: object, subject: str, by: dict[str, object]
) -> None:
    with pytest.raises(NotFound):
        service(**{subject: uuid4()}, **by)  # type: ignore[operator]


def test_an_operator_gets_an_account_once(db: None) -> None:
    first = services.make_operator(email="Op@Example.org", name="Op", password=PASSWORD)
    again = services.make_operator(email="op@example.org", name="Other", password="another-one-9")
    assert first == again
    assert again.check_password(PASSWORD)
    assert again.is_staff
    assert not again.is_superuser


def test_a_person_becomes_an_operator_and_keeps_their_password(db: None) -> None:
    person = UserFactory()
    services.make_operator(email=person.email, name="Other", password="another-one-9")
    person.refresh_from_db()
    assert person.is_staff
    assert person.check_password(PASSWORD)
