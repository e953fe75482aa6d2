from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from federation.protocol import FailureIn, HeartbeatIn, Progress, Verdict
from hub.common.errors import NotFound
from hub.runs import services
from hub.runs.errors import LeaseLost, TaskOver
from hub.runs.models import Task
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
