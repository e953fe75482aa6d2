"""Two roles in the database: its owner changes the tables, the processes only work in them.

The processes' role cannot change what is in a ledger: there it may add entries, of which it says
the four columns that are its to say, and read. Events it adds and reads, and no more.
Installations with one role work as well; the console says what they go without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.utils import ProgrammingError
from psycopg.sql import SQL, Composed, Identifier, Literal

from hub.embedded.errors import Unavailable
from hub.ledger.models import Checkpoint, Cosignature, Entry, Head, Node

LOGIN = ("HOST", "PORT", "USER", "PASSWORD")
LEDGER = [model._meta.db_table for model in (Entry, Head, Node, Checkpoint, Cosignature)]  # noqa: SLF001
RIGHTS = """
    GRANT USAGE ON SCHEMA public TO {role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
    GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
    REVOKE ALL ON {ledger}, django_migrations FROM {role};
    GRANT SELECT ON {ledger}, django_migrations TO {role};
    GRANT INSERT (ledger, key, type, payload) ON ledger_entry TO {role};
    GRANT INSERT ON ledger_checkpoint, ledger_cosignature TO {role};
    GRANT UPDATE (stopped, stopped_reason, stopped_at) ON ledger_head TO {role};
    REVOKE UPDATE, DELETE, TRUNCATE ON common_event FROM {role};
"""
# Whether the role that asks could change what is in a ledger.
COULD_REWRITE = """
    SELECT has_table_privilege('ledger_entry', 'UPDATE')
        OR has_table_privilege('ledger_entry', 'DELETE')
        OR has_table_privilege('ledger_entry', 'TRUNCATE')
        OR has_table_privilege('ledger_entry', 'TRIGGER')
        OR (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
"""


@contextmanager
def as_owner() -> Iterator[Mapping[str, Any]]:
    """Connect as DATABASE_OWNER_URL says, if it does; yields the login of the processes."""
    before = {name: connection.settings_dict[name] for name in LOGIN}
    if not settings.DATABASE_OWNER:
        yield before
        return
    _log_in(settings.DATABASE_OWNER)
    try:
        yield before
    finally:
        _log_in(before)


def _log_in(login: Mapping[str, Any]) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of PostgreSQL's connections only
    connection.settings_dict.update({name: login[name] for name in LOGIN})


@transaction.atomic
def give_rights(*, role: str, password: str = "") -> None:
    """Have a role for the processes with the rights it needs and no others. Twice is once.

    Said by the owner; where the owner is that role itself, nothing changes.

    Raises:
        Unavailable: there is no such role, and the owner may not make one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role]
        )
        owner, is_there = cursor.fetchone()
        if owner == role:
            return
        if not is_there:
            _make(role, password)
        cursor.execute(_rights(role))


def _rights(role: str) -> Composed:
    tables = SQL(", ").join(map(Identifier, LEDGER))
    return SQL(RIGHTS).format(role=Identifier(role), ledger=tables)


def _make(role: str, password: str) -> None:
    making = SQL("CREATE ROLE {} LOGIN").format(Identifier(role))
    if password:
        making += SQL(" PASSWORD {}").format(Literal(password))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(making)
    except ProgrammingError as refusal:
        raise Unavailable(
            f"The owner of the database may not make the role {role}: make it."
        ) from refusal
