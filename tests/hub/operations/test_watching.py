"""For machines that watch: alive, ready, and the figures."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from hub.dispatch import Job
from hub.operations.readiness import Migrations
from hub.operations.troubles import TROUBLES
from tests.factories.organisations import AgentFactory
from tests.hub.runs.world import World

AWAY = "redis://127.0.0.1:9/0"


def figures(client: Client, **headers: str) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_living_process_says_so_and_asks_nobody(client: Client) -> None:
    answer = client.get("/livez")  # without a database: pytest-django forbids any access
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_ready_is_when_everything_answers(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "redis": "ok"},
    }


@pytest.mark.django_db(transaction=True)
def test_not_ready_without_redis(client: Client, settings: LazySettings) -> None:
    settings.REDIS_URL = AWAY
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert answer.json()["checks"]["redis"] != "ok"
    assert answer.json()["checks"]["database"] == "ok"


@pytest.mark.django_db(transaction=True)
def test_not_ready_while_migrations_wait(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Migrations, "applied", False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET name = 'x' || name WHERE app = 'runs'")
    try:
        answer = client.get("/readyz")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET name = substr(name, 2) WHERE app = 'runs'")
    assert answer.status_code == 503
    assert "migrations wait" in answer.json()["checks"]["migrations"]


def test_watchers_write_nothing(client: Client) -> None:
    for page in ("/livez", "/readyz", "/metrics"):
        assert client.post(page).status_code == 405


def test_figures_are_those_of_the_rows(client: Client, world: World) -> None:
    world.start_run()
    world.lease(world.sites[0])
    AgentFactory(last_seen_at=timezone.now(), version="0.2.0")
    found = figures(client)
    assert found["foedus_runs", "running"] == 1
    assert found["foedus_runs", "failed"] == 0
    assert found["foedus_tasks", "leased"] == 1
    assert found["foedus_tasks", "queued"] == 2
    assert found["foedus_agents_seen",] == 1
    assert found["foedus_agents_by_version", "0.2.0"] == 1
    assert found["foedus_artifact_bytes",] > 0
    assert found["foedus_database_bytes",] > 0
    assert {("foedus_stuck", trouble.name) for trouble in TROUBLES} <= set(found)
    assert {("foedus_queue_length", job.partition(".")[0]) for job in Job} <= set(found)


def test_requests_are_counted(client: Client, db: None) -> None:
    client.get("/livez")
    found = figures(client)
    assert any(name.startswith("django_http_requests") for name, *_ in found)


def test_a_broker_that_is_away_leaves_a_gap(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celery import Celery

    from hub.operations import machines

    away = Celery("away", broker=AWAY)
    monkeypatch.setattr(machines, "producer", lambda: away)
    found = figures(client)
    assert not any(name == "foedus_queue_length" for name, *_ in found)
    assert ("foedus_runs", "running") in found


@pytest.mark.parametrize("given", ["", "Bearer other", "Bearer ", "token"])
def test_figures_are_for_the_bearer_of_the_token(
    given: str, client: Client, db: None, settings: LazySettings
) -> None:
    settings.METRICS_TOKEN = "s3same"
    headers = {"Authorization": given} if given else {}
    assert client.get("/metrics", headers=headers).status_code == 401
    assert figures(client, Authorization="Bearer s3same")


def test_without_a_token_figures_stay_on_this_machine(client: Client, db: None) -> None:
    assert figures(client)
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code == 401
    forwarded = {"X-Forwarded-For": "127.0.0.1"}
    assert client.get("/metrics", headers=forwarded).status_code == 401
