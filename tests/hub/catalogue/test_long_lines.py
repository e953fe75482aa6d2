"""Registry pages of a federation with ten thousand versions: few queries, and quick."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hub.catalogue.versions.releases import release_version
from tests.factories.catalogue import EvaluationFactory, VersionFactory
from tests.factories.runs import PLAN, RoundFactory, RunFactory
from tests.hub.catalogue.test_pages import MOST_QUERIES
from tests.hub.runs.world import World, make_world
from tests.pages import browser

VERSIONS, ROUNDS = 10_000, 20  # 500 runs
MOST_SECONDS = 0.1
CROWDED = 2.0  # a second of work counts up to so much more where others use the same cores
LOADS = 6


@pytest.fixture
def world(db: None, tmp_path: Path, settings) -> World:
    settings.BLOB_FOLDER = tmp_path / "blobs"
    made = make_world(tmp_path, members=5)
    seed(made)
    return made


def seed(world: World) -> None:
    """Runs one after the other, every third from inside an earlier one, all measured.

    One row of each table is made as usual; the database makes the others from it. Nothing is
    checked meanwhile, since the checks of a hundred thousand keys are not what is timed.
    """
    places = list(world.federation.participations.all())
    run = RunFactory(
        federation=world.federation,
        created_by=world.lead,
        state="completed",
        evaluators=[place.pk for place in places],
    )
    version = VersionFactory(
        federation=world.federation,
        plan=PLAN.model_dump(mode="json"),
        contributors=[
            {
                "organisation": place.organisation.name,
                "digest": "0" * 64,
                "examples": 9,
                "weight": 0.2,
            }
            for place in places
        ],
    )
    RoundFactory(run=run, version=version, state="closed")
    for place in places:
        EvaluationFactory(version=version, participation=place, run_id=run.pk)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in COPIES.split(";"):
            cursor.execute(statement, {"versions": VERSIONS, "rounds": ROUNDS})
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("ANALYZE")


COPIES = """
CREATE FUNCTION pg_temp.named(what text, number int) RETURNS uuid
    LANGUAGE sql IMMUTABLE AS $$ SELECT md5(what || number)::uuid $$;
CREATE TEMP TABLE places AS
    SELECT n AS number, (n - 1) / %(rounds)s + 1 AS run, (n - 1) %% %(rounds)s + 1 AS round,
        CASE WHEN (n - 1) %% (3 * %(rounds)s) = 0 THEN n - %(rounds)s - 5 ELSE n - 1 END AS parent
    FROM generate_series(2, %(versions)s) n;
INSERT INTO runs_run SELECT made.* FROM places p, runs_run one,
    jsonb_populate_record(one, jsonb_build_object(
        'id', pg_temp.named('run', p.run), 'number', p.run + 1, 'name', 'Run ' || p.run,
        'parent_version_id',
        CASE WHEN p.parent > 1 THEN pg_temp.named('version', p.parent) END)) made
    WHERE p.round = 1 OR p.number = 2;
INSERT INTO catalogue_modelversion SELECT made.* FROM places p, catalogue_modelversion one,
    jsonb_populate_record(one, jsonb_build_object(
        'id', pg_temp.named('version', p.number), 'number', p.number,
        'parent_id', CASE WHEN p.parent > 1 THEN pg_temp.named('version', p.parent) END)) made;
INSERT INTO runs_round SELECT made.* FROM places p, runs_round one,
    jsonb_populate_record(one, jsonb_build_object(
        'id', pg_temp.named('round', p.number), 'number', p.round,
        'run_id', pg_temp.named('run', p.run),
        'version_id', pg_temp.named('version', p.number))) made;
INSERT INTO catalogue_evaluation SELECT made.* FROM places p, catalogue_evaluation one,
    jsonb_populate_record(one, jsonb_build_object(
        'id', gen_random_uuid(), 'run_id', pg_temp.named('run', p.run), 'round_number', p.round,
        'version_id', pg_temp.named('version', p.number), 'correct', 50 + p.round)) made
"""


def addresses(world: World) -> dict[str, str]:
    slug, found = world.federation.slug, world.federation.versions.get(number=VERSIONS - 5)
    line, lineage = (reverse(f"catalogue:{name}", args=[slug]) for name in ("versions", "lineage"))
    return {
        "models": reverse("catalogue:models"),
        "versions": line,
        "last page": f"{line}?page=500",
        "version": reverse("catalogue:version", args=[found.pk]),
        "origins": reverse("catalogue:origins", args=[found.pk]),
        "decisions": reverse("catalogue:decisions", args=[slug]),
        "lineage": lineage,
        "old lineage": f"{lineage}?at=77",
        "compare": reverse("runs:compare_versions", args=[slug]) + "?v=9&v=4999&v=9999",
    }


def test_pages_of_ten_thousand_versions_are_quick(world: World, capsys) -> None:
    for number in (40, VERSIONS - 30, VERSIONS - 10):
        version = world.federation.versions.get(number=number)
        release_version(user=world.lead, version_id=version.pk)
    client, found = browser(world.lead), {}
    for name, url in addresses(world).items():
        assert client.get(url).status_code == 200, name  # templates are read once
        with CaptureQueriesContext(connection) as captured:
            client.get(url)
        queries = len(captured)
        found[name] = (queries, seconds_of_work(lambda url=url: client.get(url)))
    with capsys.disabled():
        told = (f"{name}: {n} queries, {1000 * s:.0f} ms" for name, (n, s) in found.items())
        print("", *told, sep="\n  ")
    assert not {name for name, (queries, _) in found.items() if queries > MOST_QUERIES}
    assert not {name for name, (_, seconds) in found.items() if seconds > CROWDED * MOST_SECONDS}


def seconds_of_work(load: Callable[[], object]) -> float:
    """Of this process, at best, and of its database connection: not what others do meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    before, own = database_seconds(pid), []
    for _ in range(LOADS):
        began = time.process_time()
        load()
        own.append(time.process_time() - began)
    return min(own) + (database_seconds(pid) - before) / LOADS


def database_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
