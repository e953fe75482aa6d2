"""PostgreSQL and Redis: room, connections, what is slow, and what waits to be cleaned up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection
from django.http import HttpRequest

from hub.common.errors import DependencyDown
from hub.common.templatetags.foedus import duration, human_bytes
from hub.operations import machines, selectors
from hub.operations.pages.parts import Cell, Section, moment, number, size
from hub.operations.readiness import Migrations

TABLES = """
    SELECT relname, n_live_tup, n_dead_tup, pg_total_relation_size(relid),
        greatest(last_vacuum, last_autovacuum)
    FROM pg_stat_user_tables ORDER BY n_dead_tup DESC, n_live_tup DESC LIMIT 10
"""
ACTIVITY = """
    SELECT count(*) FILTER (WHERE state = 'active'),
        count(*) FILTER (WHERE state = 'idle'),
        count(*) FILTER (WHERE state LIKE 'idle in transaction%'),
        count(*) FILTER (WHERE wait_event_type = 'Lock'),
        coalesce(extract(epoch FROM max(now() - xact_start)), 0)::float,
        to_regclass('pg_stat_statements') IS NOT NULL
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
SLOWEST = """
    SELECT left(query, 160), calls, mean_exec_time / 1000, max_exec_time / 1000
    FROM pg_stat_statements JOIN pg_database ON oid = dbid AND datname = current_database()
    ORDER BY mean_exec_time DESC LIMIT 10
"""
TRUST_PERCENT = 20  # dead rows of the living, from which autovacuum should have come
FEW_ROWS = 1000


def sections(request: HttpRequest) -> Iterator[Section]:  # noqa: ARG001
    (activity,) = _ask(ACTIVITY)
    yield _database(activity)
    yield (
        _slow()
        if activity[5]
        else Section(
            "Slow queries",
            empty="PostgreSQL keeps no statistics of queries: pg_stat_statements is off.",
        )
    )
    yield _tables()
    yield from _redis()


def _ask(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _database(activity: Sequence[Any]) -> Section:
    active, idle, in_transaction, locked, longest, _ = activity
    facts = selectors.database()
    migrated = Migrations.applied or Migrations().are_applied()
    return Section(
        f"PostgreSQL {facts.version}",
        facts=[
            ("Size", size(human_bytes(facts.bytes))),
            (
                "Connections",
                Cell(
                    f"{facts.connections} of {facts.most_connections}",
                    share=facts.connections / facts.most_connections,
                ),
            ),
            ("At work, idle", Cell(f"{active}, {idle}", is_number=True)),
            ("Idle in a transaction", number(in_transaction)),
            ("Waiting for a lock", number(locked)),
            ("Longest transaction", size(duration(longest))),
            (
                "Migrations",
                Cell("all applied", tone="positive")
                if migrated
                else Cell("some wait: run manage.py migrate", tone="negative"),
            ),
            (
                "Its role",
                Cell("could change the ledgers: set DATABASE_OWNER_URL", tone="attention")
                if facts.could_rewrite
                else Cell("can only add to ledgers", tone="positive"),
            ),
        ],
        is_attention=not migrated,
    )


def _slow() -> Section:
    return Section(
        "Slowest queries on average",
        head=("Query", "Calls", "Mean", "Longest"),
        rows=[
            [Cell(text), number(calls), size(duration(mean)), size(duration(longest))]
            for text, calls, mean, longest in _ask(SLOWEST)
        ],
        empty="No query has been counted yet.",
    )


def _tables() -> Section:
    return Section(
        "Tables by dead rows",
        lead="Autovacuum clears them, unless a transaction has been open for long.",
        head=("Table", "Rows", "Dead", "Size", "Vacuumed"),
        rows=[
            [
                Cell(name, note="autovacuum is late" if _is_late(rows, dead) else ""),
                number(rows),
                number(dead),
                size(human_bytes(taken)),
                moment(vacuumed, "never"),
            ]
            for name, rows, dead, taken, vacuumed in _ask(TABLES)
        ],
    )


def _is_late(rows: int, dead: int) -> bool:
    return dead > FEW_ROWS and 100 * dead > TRUST_PERCENT * rows * 2


def _redis() -> Iterator[Section]:
    for title, ask in (
        ("Redis of the cache and of wake-ups", machines.redis_health),
        ("Redis of the jobs", machines.broker_health),
    ):
        try:
            yield _of_redis(title, ask())
        except DependencyDown as away:
            yield Section(title, empty=str(away.detail), is_attention=True)


def _of_redis(title: str, facts: machines.Redis) -> Section:
    limit = human_bytes(facts.most_bytes) if facts.most_bytes else "no limit"
    share = facts.bytes / facts.most_bytes if facts.most_bytes else None
    return Section(
        f"{title}: {facts.version}",
        facts=[
            ("Memory", Cell(f"{human_bytes(facts.bytes)}, {limit}", share=share)),
            ("Most so far", size(human_bytes(facts.peak_bytes))),
            ("Clients", number(facts.clients)),
            ("Commands a second", number(facts.commands)),
            ("Keys thrown out for room", number(facts.evicted)),
            ("Slow commands", Cell(", ".join(facts.slow) or "none")),
        ],
        is_attention=bool(facts.evicted),
    )
