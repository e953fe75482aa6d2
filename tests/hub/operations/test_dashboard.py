"""The overview: what is stuck, who waits, how the machines are; in a bounded number of queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hub.catalogue.models import Upload
from hub.common.models import OutboxMessage
from hub.ledger.models import Head
from hub.operations import life, machines, selectors
from hub.operations.models import Process
from hub.operations.troubles import TROUBLES
from hub.organisations.models import Agent, OrganisationState
from hub.runs.models import Round, Run, Task, Update
from tests.factories.catalogue import begin
from tests.factories.organisations import AgentFactory, OrganisationFactory
from tests.hub.runs.world import World

HOME = "/console/"
LONG_AGO = timedelta(hours=2)


def past() -> datetime:
    return timezone.now() - LONG_AGO


def unsent_messages(world: World) -> None:
    message = OutboxMessage.objects.create(job="default.advance_run", arguments=["x"])
    OutboxMessage.objects.filter(pk=message.pk).update(created_at=past())


def unprepared_runs(world: World) -> None:
    run = world.start_run()
    Run.objects.filter(pk=run.pk).update(state="queued", state_changed_at=past())


def expired_leases(world: World) -> None:
    world.start_run()
    Task.objects.filter(pk=world.lease(world.sites[0]).id).update(lease_expires_at=past())


def undecided_updates(world: World) -> None:
    world.start_run()
    world.train(world.sites[0])
    Update.objects.update(created_at=past())


def overdue_rounds(world: World) -> None:
    world.start_run()
    Round.objects.update(deadline_at=past())


def unclaimed_rounds(world: World) -> None:
    world.start_run()
    Round.objects.update(state="aggregating", claimed_until=past())


def idle_uploads(world: World) -> None:
    begin(world.sites[0].agent, b"bytes")
    Upload.objects.update(touched_at=past())


def failed_jobs(world: World) -> None:
    life.note_failure(job="compute.prepare_run", arguments=["x"], worker="w", error="OSError")


def silent_programs(world: World) -> None:
    life.begin(name="compute@old", pid=7)
    life.begin(name="compute@lab", pid=7)
    Process.objects.update(seen_at=past())
    Process.objects.filter(name="compute@lab").update(seen_at=past() + timedelta(minutes=1))


def unsigned_ledgers(world: World) -> None:
    Head.objects.filter(ledger=world.federation.pk).delete()
    Head.objects.create(ledger=world.federation.pk, size=7, last=b"", at=past())


CAUSES: dict[str, Callable[[World], None]] = {
    cause.__name__: cause
    for cause in (
        unsent_messages,
        unprepared_runs,
        expired_leases,
        undecided_updates,
        overdue_rounds,
        unclaimed_rounds,
        idle_uploads,
        unsigned_ledgers,
        failed_jobs,
        silent_programs,
    )
}


def test_every_trouble_has_a_cause_here() -> None:
    assert {trouble.name for trouble in TROUBLES} == set(CAUSES)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_a_trouble_is_found_and_shown(trouble: object, world: World, console: Client) -> None:
    CAUSES[trouble.name](world)
    assert trouble.found().count == 1
    page = console.get(HOME).text
    assert trouble.title in page
    assert trouble.remedy in page
    others = [other for other in TROUBLES if other is not trouble]
    assert [other.name for other in others if other.found().count] == []


def test_a_healthy_run_is_no_trouble(world: World, console: Client) -> None:
    run = world.start_run()
    world.lease(world.sites[0])
    assert [trouble.name for trouble in TROUBLES if trouble.found().count] == []
    page = console.get(HOME).text
    assert "Nothing is wrong" in page
    assert run.name in page


def test_a_paused_run_may_be_past_its_deadline(world: World) -> None:
    overdue_rounds(world)
    Run.objects.update(state="paused")
    assert [trouble.name for trouble in TROUBLES if trouble.found().count] == []


def test_the_number_of_queries_does_not_grow(
    world: World, console: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for name, cause in CAUSES.items():
        if name not in {"unprepared_runs", "unclaimed_rounds"}:
            cause(world)
    OrganisationFactory.create_batch(8, state=OrganisationState.PENDING)
    AgentFactory.create_batch(8)
    with django_assert_max_num_queries(10):
        page = console.get(HOME).text
    assert "all that wait" in page


def test_organisations_to_approve_come_with_their_buttons(console: Client) -> None:
    organisation = OrganisationFactory(name="Newcomer", state=OrganisationState.PENDING)
    page = console.get(HOME).text
    assert "Newcomer" in page
    for act in ("approve", "refuse"):
        assert reverse("admin:organisations_organisation_act", args=[organisation.pk, act]) in page


def test_silent_agents_are_named(console: Client) -> None:
    AgentFactory(name="hoarse", last_seen_at=timezone.now() - LONG_AGO, version="0.1.0")
    AgentFactory(name="never")
    AgentFactory(name="boisterous", last_seen_at=timezone.now(), version="0.2.0")
    AgentFactory(name="gone", state="revoked")
    fleet = selectors.fleet()
    assert (fleet.active, fleet.seen) == (3, 1)
    assert [agent.name for agent in fleet.silent] == ["hoarse", "never"]
    assert dict(fleet.versions) == {"0.1.0": 1, "0.2.0": 1, "unknown": 1}
    page = console.get(HOME).text
    assert "hoarse" in page
    assert "boisterous" not in page


def test_the_overview_opens_without_redis_and_broker(
    console: Client, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celery import Celery

    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    away = Celery("away", broker="redis://127.0.0.1:9/0")
    monkeypatch.setattr(machines, "producer", lambda: away)
    page = console.get(HOME)
    assert page.status_code == 200
    assert "does not answer" in page.text
    assert "the broker does not answer" in page.text


def test_queues_are_those_of_the_jobs(db: None) -> None:
    queues = {"default", "compute", "interactive", "periodic", "transfers"}
    assert set(machines.queue_lengths()) == queues


def test_a_bucket_has_no_disk(settings: LazySettings) -> None:
    assert machines.blob_disk()
    settings.BLOB_BUCKET = "blobs"
    assert machines.blob_disk() is None


def test_agents_are_counted_in_one_query(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    AgentFactory.create_batch(5)
    with django_assert_num_queries(1):
        assert [agent.organisation.name for agent in selectors.fleet().silent]
    assert Agent.objects.count() == 5
