"""What every page and every list costs on a hub of 500 organisations and 100,000 events.

Queries are counted and bounded. Of time, the processor's is taken, which other work on the machine
does not lengthen; the figures are printed, and the bound is wide.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from hub.audit.exporting import Export, Format
from hub.common.models import Event
from tests.api.crowd import EVENTS, crowd_around
from tests.api.seeded import Seeded, browser
from tests.api.walking import OURS, Names, Walk

pytestmark = pytest.mark.django_db

MOST_QUERIES, MOST_SECONDS = 10, 1.0
PAGES = [one for one in OURS if one.area == ""]
DRAWN = "api/v1/schema"  # the whole description, drawn anew; once for a client, not for a page
LISTS = [one for one in OURS if one.area == "api/v1/" and "{}" not in one.shape]
# Who has signed in costs two queries, which a page shares: the session and the person.
SIGNED_IN = 2


@pytest.fixture(scope="module")
def walk(django_db_setup: None, django_db_blocker: Any) -> Iterator[Walk]:
    with django_db_blocker.unblock(), transaction.atomic():
        with connection.cursor() as cursor:  # so many rows at once are nothing that a hub does
            cursor.execute("SET LOCAL statement_timeout = 0")
        world = Seeded()
        crowd_around(world)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
        yield Walk(world)
        transaction.set_rollback(True)


def costs(
    walk: Walk, client: Client, addresses: list[Any], names: Names
) -> dict[str, tuple[int, float]]:
    """Queries and milliseconds of the processor, by address; what is not there costs nothing."""
    found = {}
    for one in addresses:
        walk.call(client, "GET", one, names)
        before = time.process_time()
        with CaptureQueriesContext(connection) as queries:
            answer = walk.call(client, "GET", one, names)
        spent = time.process_time() - before
        said = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
        if answer.status < 400:
            found[one.shape or "/"] = (len(said), spent * 1000)
    return found


def told(found: dict[str, tuple[int, float]]) -> None:
    print(f"\n{'queries':>8} {'ms':>7}  address")
    for shape, (queries, spent) in sorted(found.items(), key=lambda row: -row[1][1]):
        print(f"{queries:>8} {spent:>7.1f}  {shape}")


def over(found: dict[str, tuple[int, float]], most: int) -> dict[str, int]:
    return {shape: queries for shape, (queries, _) in found.items() if queries > most}


@pytest.mark.parametrize("who", ["owner", "operator"])
def test_a_page_has_ten_queries_and_a_tenth_of_a_second(walk: Walk, who: str) -> None:
    person = walk.world.operator if who == "operator" else walk.world.lead.owner
    found = costs(walk, browser(person), PAGES, walk.names(walk.world.lead))
    told(found)
    assert len(found) > (10 if who == "operator" else 50)
    assert over(found, MOST_QUERIES + SIGNED_IN) == {}
    found.pop("metrics", None)  # it tells of all that this process has ever answered: the suite
    assert {
        shape: spent for shape, (_, spent) in found.items() if spent > MOST_SECONDS * 1000
    } == {}


def test_a_list_has_ten_queries_and_a_tenth_of_a_second(walk: Walk) -> None:
    found = costs(walk, browser(walk.world.lead.owner), LISTS, walk.names(walk.world.lead))
    told(found)
    assert found.pop(DRAWN)
    assert over(found, MOST_QUERIES) == {}
    assert {
        shape: spent for shape, (_, spent) in found.items() if spent > MOST_SECONDS * 1000
    } == {}


QUESTIONS = {
    "all": "",
    "person": "person=owner@lead.example",
    "organisation": "organisation=crowd-7",
    "federation": "federation=hidden",
    "run": "run={runs}",
    "object": "object={runs}",
    "kind": "action=task.leased",
    "subject": "action=update",
    "time": "since=2020-01-01&until=2020-02-01",
    "nothing": "action=push.failed",
}


@pytest.mark.parametrize("who", ["owner", "operator"])
def test_the_record_is_searched_in_a_tenth_of_a_second(walk: Walk, who: str) -> None:
    """Here the database's own time counts: each of its answers, as it measures them itself."""
    person = walk.world.operator if who == "operator" else walk.world.lead.owner
    client, names = browser(person), walk.names(walk.world.lead)
    slow = {}
    for name, query in QUESTIONS.items():
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"/audit/?{query.format(**names.by_word)}")
        assert answer.status_code == 200
        asked = [query["sql"] for query in queries if '"common_event"' in query["sql"]]
        spent = sum(explained(sql) for sql in asked)
        print(f"{who:>9} {name:>13}: {len(queries)} queries, {spent:.1f} ms in the database")
        if spent > 500:
            slow[name] = spent
    assert slow == {}


def explained(sql: str) -> float:
    """Milliseconds that the database takes to plan and to run it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        (plan,) = cursor.fetchone()[0]
    return float(plan["Planning Time"] + plan["Execution Time"])


def test_the_world_is_as_large_as_it_is_said_to_be(walk: Walk) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM common_event")
        assert cursor.fetchone()[0] > EVENTS


@pytest.mark.parametrize("form", list(Format))
def test_an_export_of_the_whole_record_needs_no_more_memory_than_its_beginning(
    walk: Walk, form: Format
) -> None:
    export = Export(Event.objects.all(), Event.objects.latest("pk").pk, form)
    tracemalloc.start()
    after, beginning = _peak_while(export, 0, pieces=5)
    _, rest = _peak_while(export, after, pieces=40)
    tracemalloc.stop()
    print(f"{form}: peak {beginning / 2**20:.1f} MiB at first, {rest / 2**20:.1f} MiB after")
    assert rest < beginning * 1.2
    assert rest < 16 * 2**20


def _peak_while(export: Export, after: int, *, pieces: int) -> tuple[int, int]:
    """So many pieces are read and let go; the last id, and bytes at most."""
    tracemalloc.reset_peak()
    for _ in range(pieces):
        found = export.piece(after)
        assert found is not None
        after = found[0]
    return after, tracemalloc.get_traced_memory()[1]
