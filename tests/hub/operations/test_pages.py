"""The console's own pages: what each says, what it costs, and that it opens when others are away."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from celery import Celery
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from federation.negotiation import Version
from federation.protocol import PROTOCOL_VERSION
from hub.common.actors import HUB
from hub.common.acts import act_url
from hub.common.models import OutboxMessage
from hub.dispatch import Job, producer, send
from hub.ledger.models import Head
from hub.operations import life, machines, switching
from hub.operations.appearance import AT_WORK
from hub.operations.models import FailedJob, Process
from hub.operations.pages.fleet import compatibility
from hub.runs.models import Round, Task
from tests.factories.catalogue import begin
from tests.factories.organisations import AgentFactory
from tests.hub.operations.conftest import reauthenticated
from tests.hub.runs.world import World
from tests.pages import words

NAMES = [name for name, _, _ in AT_WORK]
MOST_QUERIES = 10
AWAY = "redis://127.0.0.1:9/0"
LATE = timedelta(hours=2)
WHY = {"actor": HUB, "reason": "An upgrade."}


def page(console: Client, name: str, **query: str) -> str:
    return words(console.get(reverse(f"admin:{name}"), query))


@pytest.mark.parametrize("name", NAMES)
def test_every_page_opens_empty_and_full_and_costs_the_same(
    name: str, world: World, console: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    switching.switchboard()
    for _ in range(2):
        with django_assert_max_num_queries(MOST_QUERIES):
            answer = console.get(reverse(f"admin:{name}"))
        assert answer.status_code == 200
        busy(world)
    live = console.get(reverse(f"admin:{name}"), headers={"HX-Request": "true"}).text
    assert "<section" in live
    assert "<html" not in live
    assert console.post(reverse(f"admin:{name}")).status_code == 405


def busy(world: World) -> None:
    """Several rows of all that the pages show."""
    if Task.objects.exists():
        return
    world.start_run()
    for site in world.sites:
        world.lease(site)
    begin(world.sites[0].agent, b"bytes")
    for number in range(4):
        AgentFactory(version=f"0.{number}", protocol=PROTOCOL_VERSION)
        life.begin(name=f"compute@{number}", pid=number)
        life.note_failure(job=Job.PREPARE_RUN, arguments=[number], worker="w", error="OSError")
        OutboxMessage.objects.create(job=Job.RECONCILE, arguments=[])


@pytest.mark.parametrize("name", NAMES)
def test_no_page_is_for_others(name: str, world: World) -> None:
    client = Client()
    client.force_login(world.lead)
    assert client.get(reverse(f"admin:{name}"), follow=True).status_code == 403


def test_queues_say_what_waits_and_since_when(db: None, console: Client) -> None:
    with producer().connection_for_write() as broker:
        broker.channel().client.delete("compute")
        message = OutboxMessage.objects.create(job=Job.PREPARE_RUN, arguments=["x"])
        send(message)
        broker.channel().client.lpush("compute", "no message at all")
        (queue,) = [one for one in machines.queues() if one.name == "compute"]
        broker.channel().client.delete("compute")
    assert (queue.length, queue.oldest_job) == (2, Job.PREPARE_RUN)
    assert queue.oldest_at
    assert timezone.now() - queue.oldest_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b"{}", json.dumps({"headers": {"task": 1, "foedus_sent": "x"}}).encode()],
)
def test_what_anybody_put_into_a_queue_is_read_with_care(message: bytes) -> None:
    assert machines._told(message)[0] == "unreadable"


def test_jobs_show_what_was_not_sent_and_what_broke(db: None, console: Client) -> None:
    assert "Everything that was written has been sent" in page(console, "jobs")
    OutboxMessage.objects.create(job=Job.RECONCILE, arguments=[])
    life.note_failure(
        job=Job.PREPARE_RUN, arguments=["x"], worker="compute@lab", error="OSError", place="a.py:7"
    )
    text = page(console, "jobs")
    for words_ in ("Send what waits", "periodic.reconcile", "OSError a.py:7", "Send it again"):
        assert words_ in text
    switching.begin_maintenance(**WHY)
    assert "Held until the maintenance ends" in page(console, "jobs")


def test_a_failed_job_is_acted_on_from_the_page(db: None, console: Client) -> None:
    life.note_failure(job=Job.PREPARE_RUN, arguments=["x"], worker="w", error="OSError")
    life.note_failure(job="default.gone", arguments=["x"], worker="w", error="OSError")
    known, unknown = FailedJob.objects.order_by("-job")[::-1]
    reason = {"reason": "The disk is back.", "next": reverse("admin:jobs")}
    told = {
        row.job: console.post(act_url(row, "send"), reason, follow=True).text
        for row in (known, unknown)
    }
    assert "Done and recorded" in told[Job.PREPARE_RUN]
    assert "Nothing was done" in told["default.gone"]
    assert OutboxMessage.objects.get().job == Job.PREPARE_RUN


def test_workers_say_who_lives_and_at_what(db: None, console: Client) -> None:
    assert page(console, "workers").count("never seen") == 3
    for name in ("worker@a", "compute@a", "beat@a"):
        life.begin(name=name, pid=7)
    now = timezone.now()
    doing = [{"id": "1", "job": "compute.x", "about": ["r1"], "since": now.isoformat()}]
    life.pulse(name="compute@a", pid=7, doing=doing)
    Process.objects.filter(name="beat@a").update(seen_at=now - LATE, version="0.0.1")
    life.end(name="worker@a")
    text = page(console, "workers")
    for word in ("compute.x r1, since just now", "silent", "stopped", "another than this page's"):
        assert word in text


def test_leases_and_rounds_say_what_is_overdue_and_end_it(world: World, console: Client) -> None:
    world.start_run()
    task = Task.objects.get(pk=world.lease(world.sites[0]).id)
    assert "overdue" not in page(console, "leases")
    Task.objects.filter(pk=task.pk).update(lease_expires_at=timezone.now() - LATE)
    Round.objects.update(deadline_at=timezone.now() - LATE)
    text = page(console, "leases")
    assert text.count("overdue") == 2
    for word in ("Requeue", "Fail the round and its run", task.agent.name, "First steps, round 1"):
        assert word in text
    reauthenticated(console)
    console.post(act_url(Round.objects.get(), "fail"), {"reason": "Nobody answers."})
    assert Round.objects.get().run.state == "failed"
    assert "No round is under way" in page(console, "leases")


def test_lists_are_paged(world: World, console: Client) -> None:
    AgentFactory.create_batch(51)
    assert "Page 1 of 2" in page(console, "fleet")
    assert "Page 2 of 2" in page(console, "fleet", page="2")
    assert "Page 1 of 2" in page(console, "fleet", page="x")


@pytest.mark.parametrize(
    ("minor", "words_"),
    [(0, "the same as ours"), (1, "newer: upgrade the hub"), (2, "refused: upgrade it")],
)
def test_the_fleet_says_whom_this_hub_understands(minor: int, words_: str) -> None:
    ours = Version.of(PROTOCOL_VERSION)
    assert compatibility(str(Version(ours.major, ours.minor + minor))).note == words_
    assert compatibility("").text == "not said yet"
    assert compatibility("nonsense").note == "refused: upgrade it"


def test_the_fleet_names_the_longest_silent_first(db: None, console: Client) -> None:
    now = timezone.now()
    for name, ago in (("present", 0), ("silent", 2)):
        AgentFactory(name=name, last_seen_at=now - timedelta(hours=ago), protocol=PROTOCOL_VERSION)
    AgentFactory(name="revoked", state="revoked")
    text = page(console, "fleet")
    assert text.index("silent Organisation") < text.index("present Organisation")
    assert "revoked" not in text


def test_storage_is_told_by_organisation_and_growth(world: World, console: Client) -> None:
    agent = world.sites[0].agent
    begin(agent, b"bytes")
    agent.uploads.update(state="complete", size_bytes=3 * 2**20)
    late = begin(agent, b"others")
    agent.uploads.filter(pk=late.pk).update(touched_at=timezone.now() - LATE)
    text = page(console, "storage")
    assert f"{agent.organisation} 3.0 MiB" in text
    for word in ("Set quota", "Uploads that stand still", "Close", "Artifacts that nothing names"):
        assert word in text


def test_ledgers_say_which_were_stopped_and_how_to_resume(world: World, console: Client) -> None:
    pk = world.federation.pk
    Head.objects.filter(pk=pk).delete()
    Head.objects.create(ledger=pk, size=7, last=b"", stopped="ledger_damaged", stopped_reason="7")
    text = page(console, "ledger-states")
    assert f"manage.py resume_ledger {pk}" in text
    assert "ledger_damaged: 7" in text


def test_health_is_told_without_redis(
    db: None, console: Client, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page(console, "health")
    for word in ("PostgreSQL", "all applied", "Tables by dead rows", "Keys thrown out for room"):
        assert word in text
    settings.REDIS_URL = AWAY
    away = Celery("away", broker=AWAY)
    monkeypatch.setattr(machines, "producer", lambda: away)
    text = page(console, "health")
    assert "Redis does not answer." in text
    assert "The broker does not answer." in text
    assert "The broker does not answer" in page(console, "jobs")


def test_the_hub_s_page_shows_what_is_set_with_its_acts(db: None, console: Client) -> None:
    text = page(console, "hub")
    for word in ("Begin maintenance", "Announce something", "Close sign-up", "by hand"):
        assert word in text
    switching.begin_maintenance(note="Disks.", minutes=5, **WHY)
    switching.announce(words="Backups at ten.", **WHY)
    life.pulse(name="compute@a", pid=7, doing=[{"id": "1", "job": "x", "about": [], "since": ""}])
    text = page(console, "hub")
    for word in ("End maintenance", "Disks.", "Backups at ten.", "shown", "only operators write"):
        assert word in text
