from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, transaction

from federation.ledger import merkle, notes
from hub.common.models import Event
from hub.embedded.environment import ledger_key, verifier_key
from hub.ledger import memory, selectors, signing
from hub.ledger.errors import LedgerStopped
from hub.ledger.models import Checkpoint, EntryType, Head
from hub.ledger.services import append, settle
from hub.ledger.signing import sign

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder(settings: Any, tmp_path: Path) -> None:
    settings.LEDGER_FOLDER = tmp_path / "memory"


@pytest.fixture
def grow(log: UUID):
    def grown(to: int) -> None:
        for number in range(selectors.size_of(log), to):
            append(ledger=log, type=EntryType.CORRECTION, key=f"act:{number}", payload={})
        settle(ledger=log, key=f"act:{to - 1}")

    return grown


def tampered(change: str, *values: object) -> None:
    """What somebody does who owns the database."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_entry DISABLE TRIGGER USER")
        cursor.execute(change, values)
        cursor.execute("ALTER TABLE ledger_entry ENABLE TRIGGER USER")


def cut(log: UUID, size: int) -> None:
    """Put the database back to when the ledger had so many entries."""
    tampered("DELETE FROM ledger_entry WHERE ledger = %s AND position >= %s", log, size)
    tampered("DELETE FROM ledger_node WHERE ledger = %s AND (index + 1) << level > %s", log, size)
    tampered("DELETE FROM ledger_checkpoint WHERE ledger = %s AND size > %s", log, size)
    last = bytes(selectors.entry_at(log, size - 1).leaf)
    Head.objects.filter(ledger=log).update(size=size, last=last)


def test_a_checkpoint_covers_what_is_there_and_extends_the_one_before(log: UUID, grow) -> None:
    for size in (1, 2, 5, 12):
        grow(size)
        sign(ledger=log)
        newest = selectors.newest_checkpoint(log)
        key = notes.parse_verifier_key(str(selectors.verifier_key()))
        read = notes.verify_checkpoint(newest.note, key, origin=selectors.origin_of(log))
        assert (read.size, read.root) == (size, selectors.root_at(log, size))
    merkle.verify_consistency(
        old=5,
        new=12,
        old_root=bytes(Checkpoint.objects.get(ledger=log, size=5).root),
        new_root=read.root,
        proof=selectors.consistency_proof(log, 5, 12),
    )


def test_what_is_signed_is_not_signed_again(log: UUID, grow, django_assert_num_queries) -> None:
    grow(3)
    sign(ledger=log)
    with django_assert_num_queries(2):
        sign(ledger=log)
    assert Checkpoint.objects.filter(ledger=log).count() == 1
    assert not selectors.unsigned_heads().exists()


def test_a_crash_after_remembering_gives_the_same_checkpoint(log: UUID, grow) -> None:
    grow(3)
    sign(ledger=log)
    first = Checkpoint.objects.get(ledger=log)
    Checkpoint.objects.all().delete()
    sign(ledger=log)
    again = Checkpoint.objects.get(ledger=log)
    assert (again.size, again.note) == (first.size, first.note)


def test_a_ledger_of_nothing_has_no_checkpoint(log: UUID) -> None:
    sign(ledger=log)
    assert not Checkpoint.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_entry SET payload = '{\"n\":2}' WHERE position = 2",
        "UPDATE ledger_entry SET text = replace(text, 'act:2', 'act:7') WHERE position = 2",
        "UPDATE ledger_entry SET type = 'case.opened' WHERE position = 2",
        "UPDATE ledger_entry SET at = at + interval '1 s' WHERE position = 2",
        "UPDATE ledger_entry SET leaf = sha256('x') WHERE position = 2",
        "UPDATE ledger_entry SET prev = sha256('x') WHERE position = 2",
        "DELETE FROM ledger_entry WHERE position = 2",
    ],
)
def test_nothing_is_signed_over_a_changed_entry(log: UUID, grow, change: str) -> None:
    for size in (3, 5):
        grow(size)
        sign(ledger=log)
    tampered(change)
    grow(6)
    sign(ledger=log)
    assert selectors.newest_checkpoint(log).size == 5
    head = Head.objects.get(ledger=log)
    assert (head.stopped, head.stopped_at is None) == ("ledger_damaged", False)
    assert "2" in head.stopped_reason or "3" in head.stopped_reason
    with pytest.raises(LedgerStopped), transaction.atomic():
        grow(7)


def test_nothing_is_signed_over_a_changed_tree(log: UUID, grow) -> None:
    grow(5)
    tampered("UPDATE ledger_node SET hash = sha256('x') WHERE level = 2")
    sign(ledger=log)
    assert Head.objects.get(ledger=log).stopped == "ledger_damaged"


def test_an_older_database_is_noticed(log: UUID, grow) -> None:
    grow(5)
    sign(ledger=log)
    cut(log, 4)
    sign(ledger=log)
    assert Head.objects.get(ledger=log).stopped == "ledger_regression"
    assert not Checkpoint.objects.filter(ledger=log).exists()


def test_another_history_of_the_same_length_is_noticed(log: UUID, grow) -> None:
    grow(5)
    sign(ledger=log)
    cut(log, 4)
    append(ledger=log, type=EntryType.CASE_OPENED, key="another", payload={})
    append(ledger=log, type=EntryType.CASE_OPENED, key="and:more", payload={})
    settle(ledger=log, key="another")
    sign(ledger=log)
    assert Head.objects.get(ledger=log).stopped == "ledger_regression"


def test_an_operator_lets_it_go_on_and_the_ledger_says_so(log: UUID, grow) -> None:
    grow(5)
    sign(ledger=log)
    signed = selectors.root_at(log, 5).hex()
    cut(log, 4)
    sign(ledger=log)
    for _ in range(2):
        call_command("resume_ledger", str(log), reason="the disk broke")
    settle(ledger=log, key="ledger.resumed:4")
    sign(ledger=log)
    assert not Head.objects.get(ledger=log).stopped
    assert selectors.newest_checkpoint(log).size == 5
    said = json.loads(selectors.entry_at(log, 4).payload)
    assert said["signed"] == {"size": 5, "root": signed}
    assert said["was"] == "ledger_regression"
    assert Event.objects.get(kind="ledger.resumed").reason == "the disk broke"


def test_a_signer_without_memory_goes_on_from_the_last_checkpoint(log: UUID, grow) -> None:
    grow(5)
    sign(ledger=log)
    memory.set_aside(log)
    grow(9)
    sign(ledger=log)
    assert selectors.newest_checkpoint(log).size == 9


def test_a_signer_without_memory_signs_over_no_foreign_checkpoint(log: UUID, grow) -> None:
    grow(5)
    sign(ledger=log)
    memory.set_aside(log)
    tampered("UPDATE ledger_checkpoint SET note = replace(note, '\n5\n', '\n4\n'), size = 4")
    grow(9)
    sign(ledger=log)
    assert Head.objects.get(ledger=log).stopped == "ledger_damaged"


def test_the_past_is_read_again_piece_by_piece(log: UUID, grow, monkeypatch) -> None:
    monkeypatch.setattr(signing, "READ_AGAIN", 4)
    grow(10)
    sign(ledger=log)
    tampered("UPDATE ledger_entry SET type = 'case.opened' WHERE position = 6")
    reads = []
    for size in (11, 12):
        grow(size)
        sign(ledger=log)
        reads.append((memory.recall(log).read, Head.objects.get(ledger=log).stopped))
    assert reads == [(4, ""), (4, "ledger_damaged")]


def test_who_has_no_key_signs_nothing(log: UUID, settings: Any, tmp_path: Path) -> None:
    settings.LEDGER_KEY_FILE = ""
    with pytest.raises(ImproperlyConfigured, match="not set"):
        sign(ledger=log)
    other = tmp_path / "key"
    other.write_text(ledger_key())
    settings.LEDGER_KEY_FILE = str(other)
    with pytest.raises(ImproperlyConfigured, match="not the key"):
        sign(ledger=log)


def test_the_made_key_is_written_as_everybody_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(ledger_key())
    line = verifier_key("hub.example.org", file)
    assert str(notes.parse_verifier_key(line)) == line


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_a_checkpoint_asks_once(log: UUID, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr("hub.ledger.services.send_soon", lambda *job, **_: asked.append(job))
    with transaction.atomic():
        for number in range(3):
            append(ledger=log, type=EntryType.ROUND_OPENED, key=f"act:{number}", payload={})
        append(ledger=log, type=EntryType.CORRECTION, key="other", payload={})
    assert asked == [("default.sign_ledger", str(log))]
