from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from federation.protocol import FailureIn, HeartbeatIn, Progress, Verdict
from hub.common.errors import NotFound
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.runs import services
from hub.runs.errors import LeaseLost, TaskOver
from hub.runs.models import Task
from hub.runs.selectors import stopping_tasks
from tests.factories.organisations import AgentFactory
from tests.hub.runs.world import World, make_site, make_world, plan_of


def beat(world: World, site: object, offer: object, *, fence: int | None = None) -> Verdict:
    message = HeartbeatIn(
        fence=offer.fence if fence is None else fence,
        progress=Progress(phase="training", step=3, steps=9, loss=0.7),
    )
    return services.heartbeat(agent=site.agent, task_id=offer.id, message=message).verdict


def expire(offer: object) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Task.objects.filter(pk=offer.id).update(lease_expires_at=past)


def test_a_task_is_offered_to_its_own_organisation_only(world: World) -> None:
    world.start_run()
    offers = [world.lease(site) for site in world.sites]
    assert len({offer.id for offer in offers}) == 3
    assert all(site.lease(world.federation) is None for site in world.sites)


def test_an_agent_without_data_for_the_federation_gets_nothing(world: World) -> None:
    world.start_run()
    assert services.lease_task(agent=world.sites[0].agent, federations=["elsewhere"]) is None


def test_a_heartbeat_renews_the_lease_and_keeps_the_loss(world: World) -> None:
    world.start_run()
    offer = world.lease(world.sites[0])
    expire(offer)
    assert beat(world, world.sites[0], offer) is Verdict.CONTINUE
    assert beat(world, world.sites[0], offer) is Verdict.CONTINUE
    task = Task.objects.get(pk=offer.id)
    assert task.lease_expires_at > timezone.now()
    assert [(p.step, p.loss) for p in task.points.all()] == [(3, 0.7)]


def test_a_heartbeat_with_an_old_fence_is_told_to_stop(world: World) -> None:
    world.start_run()
    offer = world.lease(world.sites[0])
    assert beat(world, world.sites[0], offer, fence=offer.fence - 1) is Verdict.CANCEL


def test_an_expired_lease_goes_back_to_the_queue_with_a_new_fence(world: World) -> None:
    world.start_run()
    first = world.lease(world.sites[0])
    expire(first)
    assert services.expire_leases() == 1
    assert services.expire_leases() == 0
    again = world.lease(world.sites[0])
    assert again.id == first.id
    assert again.fence == first.fence + 1
    with pytest.raises(LeaseLost):
        world.train(world.sites[0], first)


def test_a_task_that_failed_too_often_is_given_up(world: World) -> None:
    world.start_run(plan_of(attempts=2))
    for _ in range(2):
        offer = world.lease(world.sites[0])
        message = FailureIn(fence=offer.fence, code="out_of_memory")
        services.fail_task(agent=world.sites[0].agent, task_id=offer.id, message=message)
    task = Task.objects.get(pk=offer.id)
    assert (task.state, task.failure_code) == ("failed", "out_of_memory")
    with pytest.raises(TaskOver):
        services.fail_task(agent=world.sites[0].agent, task_id=offer.id, message=message)


def test_a_declined_task_is_not_tried_again(world: World) -> None:
    world.start_run()
    offer = world.lease(world.sites[0])
    message = FailureIn(fence=offer.fence, code="not_mapped", retry=False)
    services.fail_task(agent=world.sites[0].agent, task_id=offer.id, message=message)
    assert Task.objects.get(pk=offer.id).state == "failed"


def test_a_handed_back_task_is_free_at_once_and_costs_no_attempt(world: World) -> None:
    world.start_run()
    offer = world.lease(world.sites[0])
    agent = world.sites[0].agent
    services.release_task(agent=agent, task_id=offer.id, fence=offer.fence)
    services.release_task(agent=agent, task_id=offer.id, fence=offer.fence)
    assert world.lease(world.sites[0]).id == offer.id
    assert Task.objects.get(pk=offer.id).attempts == 1


def test_another_organisations_task_does_not_exist(world: World) -> None:
    world.start_run()
    offer = world.lease(world.sites[0])
    with pytest.raises(NotFound):
        beat(world, world.sites[1], offer)


@pytest.mark.django_db(transaction=True)
def test_many_agents_of_one_organisation_never_get_the_same_task(tmp_path: object) -> None:
    world = make_world(tmp_path, members=2)
    for _ in range(3):
        world.start_run()
    organisation = world.sites[0].agent.organisation
    sites = [make_site(organisation) for _ in range(12)]
    got: list[object] = []
    barrier = threading.Barrier(len(sites))

    def lease(site: object) -> None:
        barrier.wait()
        offer = site.lease(world.federation)
        if offer is not None:
            got.append(offer.id)
        connection.close()

    threads = [threading.Thread(target=lease, args=(site,)) for site in sites]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(got) == len(set(got)) == 3


def test_an_agent_may_have_a_task_for_each_of_its_devices(world: World) -> None:
    site = world.sites[0]
    world.start_run()
    world.start_run()
    first = services.lease_task(agent=site.agent, federations=[world.federation.slug], held=[])
    second = asked_with(world, first.id)
    assert first.id != second.id
    assert asked_with(world, first.id, second.id) is None


def test_an_offer_that_never_arrived_is_made_again_with_a_new_fence(world: World) -> None:
    world.start_run()
    lost = asked_with(world)
    again = asked_with(world)
    assert (again.id, again.fence) == (lost.id, lost.fence + 1)
    assert Task.objects.get(pk=lost.id).attempts == 1
    assert beat(world, world.sites[0], lost) is Verdict.CANCEL
    assert beat(world, world.sites[0], again) is Verdict.CONTINUE


def test_a_task_that_an_agent_has_spoken_of_is_not_lost(world: World) -> None:
    world.start_run()
    offer = asked_with(world)
    beat(world, world.sites[0], offer)
    assert asked_with(world) is None


def test_what_another_agent_was_given_is_not_offered_again(world: World) -> None:
    world.start_run()
    asked_with(world)
    other = make_site(world.sites[0].agent.organisation)
    slugs = [world.federation.slug]
    assert services.lease_task(agent=other.agent, federations=slugs, held=[]) is None


def test_an_agent_that_does_not_say_what_it_holds_waits_for_the_expiry(world: World) -> None:
    world.start_run()
    assert world.lease(world.sites[0])
    assert world.sites[0].lease(world.federation) is None


def test_to_find_nothing_is_one_statement(
    world: World, django_assert_num_queries: Callable[[int], AbstractContextManager[object]]
) -> None:
    world.start_run()
    other = make_site(AgentFactory().organisation).agent
    for federations in ([world.federation.slug], ["elsewhere", world.federation.slug]):
        with django_assert_num_queries(1):
            assert services.lease_task(agent=other, federations=federations, held=[]) is None
    with django_assert_num_queries(0):
        assert services.lease_task(agent=other, federations=[], held=[]) is None


def asked_with(world: World, *held: object) -> object:
    agent, slugs = world.sites[0].agent, [world.federation.slug]
    return services.lease_task(agent=agent, federations=slugs, held=held)


def test_that_a_cancelled_task_has_stopped_is_told_once(world: World) -> None:
    run = world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    services.cancel_run(user=world.lead, run_id=run.pk)
    longago = timezone.now() - timedelta(minutes=1)
    assert [task.pk for task in stopping_tasks(run.pk, since=longago)] == [offer.id]
    for fence in (offer.fence - 1, offer.fence, offer.fence):
        services.release_task(agent=site.agent, task_id=offer.id, fence=fence)
    (stopped,) = Event.objects.filter(run_id=run.pk, kind="task.stopped")
    name = site.agent.organisation.name
    assert sentence(stopped) == f"Training was stopped at {name} in round 1"
    assert not stopping_tasks(run.pk, since=longago).exists()
