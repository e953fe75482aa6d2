"""What the role of the processes can do in the database, tried from a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, transaction
from psycopg.errors import InsufficientPrivilege

from hub.ledger.models import Entry, EntryType
from hub.ledger.services import append
from hub.operations.roles import COULD_REWRITE, give_rights
from hub.operations.selectors import database

ROLE, PASSWORD = "foedus_of_tests", "any"
FORGERIES = """
UPDATE ledger_entry SET payload = '{{}}'
UPDATE ledger_entry SET position = 7
DELETE FROM ledger_entry
TRUNCATE ledger_entry CASCADE
INSERT INTO ledger_entry (ledger, key, type, payload, position) VALUES ('{log}', 'x', 'x', '{{}}', 0)
INSERT INTO ledger_entry (ledger, key, type, payload, at) VALUES ('{log}', 'x', 'x', '{{}}', now())
INSERT INTO ledger_entry (ledger, key, type, payload, leaf) VALUES ('{log}', 'x', 'x', '{{}}', '')
INSERT INTO ledger_entry (ledger, key, type, payload) VALUES ('{log}', 'told', 'x', '{{}}')
    ON CONFLICT (ledger, key) DO UPDATE SET payload = '{{}}'
UPDATE ledger_head SET size = 0
UPDATE ledger_head SET last = ''
DELETE FROM ledger_head
INSERT INTO ledger_head (ledger, size, last, stopped, stopped_reason)
    VALUES ('{other}', 5, '', '', '')
UPDATE ledger_node SET hash = ''
DELETE FROM ledger_node
INSERT INTO ledger_node (ledger, level, index, hash) VALUES ('{log}', 1, 9, '')
UPDATE ledger_checkpoint SET root = ''
DELETE FROM ledger_checkpoint
UPDATE ledger_cosignature SET line = ''
DELETE FROM ledger_cosignature
ALTER TABLE ledger_entry DISABLE TRIGGER ALL
ALTER TABLE ledger_entry DISABLE TRIGGER entries_never_change
ALTER TABLE ledger_entry DROP COLUMN leaf
DROP TRIGGER entry_finds_its_place ON ledger_entry
DROP TABLE ledger_node
CREATE OR REPLACE FUNCTION public.ledger_place() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN RETURN NULL; END'
CREATE FUNCTION public.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
CREATE TRIGGER mine BEFORE INSERT ON ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_keep()
CREATE RULE mine AS ON INSERT TO ledger_entry DO INSTEAD NOTHING
SET session_replication_role = replica
SET ROLE {owner}
SET SESSION AUTHORIZATION {owner}
ALTER ROLE {role} SUPERUSER
COPY ledger_entry (position) FROM '/etc/hostname'
ALTER TABLE catalogue_modelversion DISABLE TRIGGER versions_never_change
UPDATE common_event SET reason = ''
DELETE FROM common_event
TRUNCATE common_event
ALTER TABLE common_event DISABLE TRIGGER events_never_change
DELETE FROM django_migrations
""".replace("\n    ", " ")


@pytest.fixture
def processes(transactional_db: None) -> Iterator[psycopg.Connection]:
    """A connection such as the hub's processes have."""
    for _ in range(2):
        give_rights(role=ROLE, password=PASSWORD)
    whole = connection.get_connection_params()
    where = {name: whole[name] for name in ("host", "port", "dbname") if whole.get(name)}
    with psycopg.connect(**where, user=ROLE, password=PASSWORD, autocommit=True) as theirs:
        yield theirs
    with connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {ROLE}")
        cursor.execute(f"DROP ROLE {ROLE}")


def test_the_processes_add_to_a_ledger_and_cannot_change_it(processes: psycopg.Connection) -> None:
    log = uuid4()
    with transaction.atomic():
        append(ledger=log, type=EntryType.CORRECTION, key="told", payload={"n": 1})
    add(processes, log, "said")
    before = list(Entry.objects.values())
    names = {"log": log, "other": uuid4(), "role": ROLE, "owner": connection.settings_dict["USER"]}
    forgeries = FORGERIES.format(**names).strip().splitlines()
    assert [forgery for forgery in forgeries if not is_refused(processes, forgery)] == []
    assert processes.execute(COULD_REWRITE).fetchone() == (False,)
    processes.execute("CREATE TEMPORARY TABLE ledger_head (LIKE public.ledger_head)")
    add(processes, log, "still")
    assert list(Entry.objects.values())[:2] == before
    assert [(row.position, row.key) for row in Entry.objects.order_by("id")] == [
        (0, "told"),
        (1, "said"),
        (2, "still"),
    ]


def is_refused(processes: psycopg.Connection, forgery: str) -> bool:
    try:
        processes.execute(forgery)
    except InsufficientPrivilege:
        return True
    return False


def add(processes: psycopg.Connection, log: UUID, key: str) -> None:
    processes.execute(
        "INSERT INTO ledger_entry (ledger, key, type, payload) VALUES (%s, %s, 'correction', '{}')",
        [log, key],
    )


@pytest.mark.django_db
def test_a_role_is_known_for_what_it_could_do() -> None:
    assert database().could_rewrite


def test_the_processes_work_in_all_other_tables(processes: psycopg.Connection) -> None:
    tables = {table for table in connection.introspection.table_names() if "ledger" not in table}
    for table in sorted(tables - {"django_migrations", "common_event"}):
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            asked = processes.execute("SELECT has_table_privilege(%s, %s)", [table, right])
            assert asked.fetchone() == (True,), (table, right)
