"""A paused federation stands still: no work, no round, no run, nobody joins; then all goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from hub.common.actors import HUB
from hub.common.models import OutboxMessage
from hub.dispatch import Job
from hub.federations.errors import FederationClosed, FederationPaused
from hub.federations.models import Federation
from hub.federations.services import request_to_join
from hub.operations import services as acts
from hub.operations.troubles import TROUBLES
from hub.runs import services
from hub.runs.models import Round, Run
from tests.factories.organisations import MembershipFactory
from tests.hub.runs.world import World, plan_of
from tests.pages import browser, words

WHY = {"actor": HUB, "reason": "Two members asked for it."}


def pause(world: World) -> None:
    acts.pause_federation(federation_id=world.federation.pk, **WHY)


def resume(world: World) -> None:
    acts.resume_federation(federation_id=world.federation.pk, **WHY)


def test_no_work_is_handed_out(world: World) -> None:
    world.start_run()
    pause(world)
    assert world.sites[0].lease(world.federation) is None
    resume(world)
    assert world.lease(world.sites[0])


def test_no_run_starts(world: World) -> None:
    run = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="Next", plan=plan_of()
    )
    pause(world)
    with pytest.raises(FederationPaused):
        services.start_run(user=world.lead, run_id=run.pk)
    resume(world)
    assert services.start_run(user=world.lead, run_id=run.pk).state == "queued"


def test_no_round_opens_and_the_next_does_by_itself(world: World) -> None:
    run = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="Next", plan=plan_of()
    )
    services.start_run(user=world.lead, run_id=run.pk)
    pause(world)
    services.run_prepared(run_id=run.pk, start=world.start())
    services.advance_run(run_id=run.pk)
    services.reconcile()
    assert not Round.objects.exists()
    resume(world)
    assert OutboxMessage.objects.filter(job=Job.ADVANCE_RUN, arguments=[str(run.pk)]).exists()
    services.advance_run(run_id=run.pk)
    assert Round.objects.get().state == "collecting"


def test_deadlines_stand_still(world: World) -> None:
    run = world.start_run()
    day = timedelta(days=1)
    pause(world)
    Round.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    services.advance_run(run_id=run.pk)
    assert Run.objects.get().state == "running"
    assert [trouble.name for trouble in TROUBLES if trouble.rows().exists()] == []
    Federation.objects.update(state_changed_at=timezone.now() - day)
    resume(world)
    left = Round.objects.get().deadline_at - timezone.now()
    assert day - timedelta(minutes=1) < left < day
    services.advance_run(run_id=run.pk)
    assert Run.objects.get().state == "running"


def test_nobody_joins(world: World) -> None:
    pause(world)
    place = MembershipFactory()
    federation = Federation.objects.get()
    with pytest.raises(FederationClosed):
        request_to_join(
            user=place.user,
            organisation_id=place.organisation.pk,
            federation_id=federation.pk,
            charter_digest=federation.charter_digest,
            invited=True,
        )


def test_twice_is_once_and_members_read_why(world: World) -> None:
    pause(world)
    pause(world)
    page = browser(world.lead).get(reverse("federations:detail", args=[world.federation.slug]))
    assert WHY["reason"] in words(page)
    resume(world)
    resume(world)
    page = browser(world.lead).get(reverse("federations:detail", args=[world.federation.slug]))
    assert WHY["reason"] not in words(page)
