from __future__ import annotations

import random
import threading
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction

from federation.ledger import merkle
from federation.ledger.entries import NO_ENTRY, leaf_of, parse_entry
from hub.accounts.models import User
from hub.ledger.errors import EntryDiffers, LedgerStopped
from hub.ledger.models import Entry, EntryType, Head, Node
from hub.ledger.selectors import entries_of, root_at, size_of
from hub.ledger.services import append, settle
from tests.factories.accounts import UserFactory
from tests.hub.ledger.conftest import Tell

ODD = {
    "text": 'quotes " and \\ and \n and \u2028 and é and 𝄞',
    "numbers": [0, -1, 2**53 - 1, 0.1, 1e21, 1.5e-7],
    "nested": {"b": None, "a": [True, False, {}]},
}


def say(ledger: UUID, key: str, payload: dict[str, object] | None = None) -> None:
    append(ledger=ledger, type=EntryType.CORRECTION, key=key, payload=payload or {"n": 1})


@pytest.mark.django_db
def test_an_entry_has_its_place_at_the_end_of_its_transaction(log: UUID) -> None:
    say(log, "a:1")
    assert not entries_of(log).exists()
    assert settle(ledger=log, key="a:1")[0] == 0
    assert entries_of(log).get().prev == NO_ENTRY


@pytest.mark.django_db
def test_the_text_is_what_everybody_else_would_write(log: UUID) -> None:
    say(log, "a:1", ODD)
    settle(ledger=log, key="a:1")
    row = Entry.objects.get(ledger=log)
    read = parse_entry(row.text)
    assert read.payload == ODD
    assert (read.index, read.ledger, read.key, read.type) == (0, log, "a:1", "correction")
    assert row.leaf == leaf_of(row.text)


@pytest.mark.django_db
def test_the_triggers_tree_is_that_of_the_federation_for_any_sequence() -> None:
    drawn, sizes = random.Random(6962), {uuid4(): 0 for _ in range(3)}
    for number in range(150):
        log = drawn.choice(list(sizes))
        say(log, f"act:{number}", {"n": drawn.random()})
        sizes[log] += 1
        if drawn.random() < 0.3:
            settle(ledger=log, key=f"act:{number}")
    settle(ledger=log, key=f"act:{number}")
    for log, size in sizes.items():
        rows = list(entries_of(log))
        assert [row.position for row in rows] == list(range(size))
        assert [row.prev for row in rows] == [NO_ENTRY, *(row.leaf for row in rows[:-1])]
        assert [row.leaf for row in rows] == [leaf_of(row.text) for row in rows]
        nodes = merkle.nodes_of([row.leaf for row in rows])
        kept = Node.objects.filter(ledger=log).values_list("level", "index", "hash")
        assert {(a, b): h for a, b, h in kept} == {n: h for n, h in nodes.items() if n[0]}
        for upto in range(size + 1):
            assert root_at(log, upto) == merkle.root(upto, nodes.__getitem__)


@pytest.mark.django_db
def test_an_act_told_twice_is_one_entry(log: UUID) -> None:
    for _ in range(2):
        say(log, "a:1")
        assert settle(ledger=log, key="a:1")[0] == 0
    assert size_of(log) == 1


@pytest.mark.django_db
def test_a_key_cannot_stand_for_two_things(log: UUID) -> None:
    say(log, "a:1")
    with pytest.raises(EntryDiffers):
        say(log, "a:1", {"n": 2})
    with pytest.raises(EntryDiffers):
        append(ledger=log, type=EntryType.CASE_OPENED, key="a:1", payload={"n": 1})


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", 'a"b', "a\nb", "a b", "é"])
def test_a_key_needs_no_escapes(log: UUID, key: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        say(log, key)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "payload", ["[]", "7", "{", '{"a":1,"a":2}', '{"a":"' + "x" * 2**20 + '"}']
)
def test_a_payload_is_one_bounded_object(log: UUID, payload: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_entry (ledger, key, type, payload) VALUES (%s, 'a', 'b', %s)",
            [log, payload],
        )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change", ["UPDATE ledger_entry SET key = 'b'", "DELETE FROM ledger_entry"]
)
def test_no_entry_changes(log: UUID, change: str) -> None:
    say(log, "a:1")
    settle(ledger=log, key="a:1")
    with pytest.raises(IntegrityError, match="never changes"), connection.cursor() as cursor:
        cursor.execute(change)


@pytest.mark.django_db
def test_a_stopped_ledger_takes_nothing(log: UUID) -> None:
    say(log, "a:1")
    settle(ledger=log, key="a:1")
    say(log, "a:2")
    Head.objects.filter(ledger=log).update(stopped="ledger_damaged")
    with pytest.raises(LedgerStopped), transaction.atomic():
        say(log, "a:3")
    with pytest.raises(LedgerStopped):
        settle(ledger=log, key="a:2")


@pytest.mark.django_db(transaction=True)
def test_an_entry_belongs_into_a_transaction(log: UUID) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        say(log, "a:1")


@pytest.mark.django_db(transaction=True)
def test_an_undone_transaction_leaves_no_gap(log: UUID, tell: Tell) -> None:
    tell("a:1")
    with transaction.atomic():
        say(log, "a:2")
        settle(ledger=log, key="a:2")
        transaction.set_rollback(True)
    tell("a:3")
    assert [(row.position, row.key) for row in entries_of(log)] == [(0, "a:1"), (1, "a:3")]


@pytest.mark.django_db(transaction=True)
def test_many_at_once_wait_for_nobody_twice() -> None:
    """Each holds a row of its own choice, and tells several ledgers in an order of its own."""
    logs = [uuid4() for _ in range(3)]
    users = [UserFactory(email=f"{n}@example.org") for n in range(4)]
    threads, each = 8, 40
    failed: list[DatabaseError] = []

    def work(number: int) -> None:
        drawn = random.Random(number)
        try:
            for act in range(each):
                with transaction.atomic():
                    for log in drawn.sample(logs, drawn.choice([1, 1, 2, 3])):
                        say(log, f"act:{number}:{act}")
                    User.objects.select_for_update().get(pk=drawn.choice(users).pk)
        except DatabaseError as error:
            failed.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work, args=[number]) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed
    for log in logs:
        rows = list(entries_of(log))
        assert [row.position for row in rows] == list(range(len(rows)))
        assert [row.prev for row in rows] == [NO_ENTRY, *(row.leaf for row in rows[:-1])]
        assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert Entry.objects.filter(position__isnull=True).count() == 0
