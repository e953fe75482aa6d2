"""A ledger that its operator changes, rewrites or sets back, before agents who have seen it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from agent.ledgers import Kept, Ledgers
from federation.ledger import entries
from federation.ledger.merkle import nodes_of
from tests.system.plays import Plays
from tests.system.processes import wait_until
from tests.system.stack import ROWS, Stack, plan, standing

pytestmark = pytest.mark.system

TABLES = ("ledger_cosignature", "ledger_checkpoint", "ledger_node", "ledger_head", "ledger_entry")
OVERTURN = "SET session_replication_role = replica"  # no trigger and no key stops a superuser
WITNESSES = """
    SELECT count(DISTINCT s.agent) FROM ledger_cosignature s
    JOIN ledger_checkpoint c ON c.id = s.checkpoint_id WHERE c.ledger = %s
"""
DECLINED = """
    SELECT reason FROM common_event WHERE run_id = %s AND kind IN ('task.failed', 'task.queued')
    AND (data ->> 'code' = %s OR reason = %s)
"""
STOPPED = "SELECT count(*) FROM ledger_head WHERE stopped <> ''"
ROUNDS = "SELECT count(*) FROM runs_round WHERE run_id = %s"


class Operator:
    """Somebody with the database and the ledger's key in hand."""

    def __init__(self, stack: Stack, ledger: UUID) -> None:
        self.stack, self.ledger = stack, ledger
        self.memory = stack.folder / "hub" / "ledger"

    def copy(self, name: str) -> None:
        """Keep the ledger as it is now, and what the signer remembers of it."""
        self._all(*(f"CREATE TABLE {name}_{table} AS TABLE {table}" for table in TABLES))
        shutil.copytree(self.memory, self.stack.folder / name)

    def restore(self, name: str) -> None:
        back = (f"INSERT INTO {table} SELECT * FROM {name}_{table}" for table in TABLES[::-1])
        self._all(*(f"DELETE FROM {table}" for table in TABLES), *back)
        shutil.rmtree(self.memory)
        shutil.copytree(self.stack.folder / name, self.memory)

    def edit(self, index: int) -> None:
        """One byte of one entry, and nothing else."""
        self._all(
            f"UPDATE ledger_entry SET text = replace(text, '\"index\":{index},', '\"index\":9,') "
            f"WHERE ledger = '{self.ledger}' AND position = {index}"
        )

    def rewrite(self) -> None:
        """Another history: the key of an entry is changed, and all that follows hashed anew."""
        rows = self.stack.sql(
            "SELECT id, text FROM ledger_entry WHERE ledger = %s ORDER BY position", self.ledger
        )
        prev, changes, leaves = entries.NO_ENTRY, list[str](), list[bytes]()
        for row in rows:
            entry = entries.parse_entry(row["text"])
            said = json.loads(row["text"])
            said |= {"prev": prev.hex(), "key": f"{entry.key}.x" if not leaves else entry.key}
            text = entries.canonical(said)
            leaf = entries.leaf_of(text)
            changes.append(
                f"UPDATE ledger_entry SET key = '{said['key']}', text = $t${text}$t$, "
                f"prev = '\\x{prev.hex()}', leaf = '\\x{leaf.hex()}' WHERE id = {row['id']}"
            )
            leaves.append(leaf)
            prev = leaf
        changes += [
            f"UPDATE ledger_node SET hash = '\\x{hashed.hex()}' "
            f"WHERE ledger = '{self.ledger}' AND level = {level} AND index = {index}"
            for (level, index), hashed in nodes_of(leaves).items()
        ]
        head = f"UPDATE ledger_head SET last = '\\x{prev.hex()}' WHERE ledger = '{self.ledger}'"
        gone = ("DELETE FROM ledger_cosignature", "DELETE FROM ledger_checkpoint")
        self._all(*changes, head, *gone)
        shutil.rmtree(self.memory)

    def _all(self, *statements: str) -> None:
        alone = f"LOCK TABLE {', '.join(TABLES)}"  # the signer is at work
        self.stack.change("; ".join([OVERTURN, alone, *statements]))


@pytest.fixture(scope="module")
def stack(base: Path, wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One of its own: what is done here to ledgers and agents is nothing for others to find."""
    with standing(tmp_path_factory.mktemp("overturned"), base, wide) as stack:
        yield stack


@pytest.fixture(scope="module")
def plays(stack: Stack) -> Plays:
    return Plays(stack)


@pytest.fixture
def ledger(stack: Stack, plays: Plays) -> UUID:
    """A federation whose agents have seen its ledger."""
    played(stack, plays, seed=71)
    return UUID(stack.facts["federation"])


def played(stack: Stack, plays: Plays, *, seed: int) -> None:
    run = stack.start_run(plan(count=1, every="never", seed=seed))
    assert stack.wait_for_end(run, seconds=120) == "completed"
    wait_until(plays.is_quiet, what="something is still going on")


@contextmanager
def undone(stack: Stack, operator: Operator) -> Iterator[None]:
    """Do what nobody may, and leave everything as it was."""
    operator.copy("before")
    for name in ROWS:
        shutil.copytree(ledgers(stack, name), stack.folder / f"seen-{name}")
    try:
        yield
    finally:
        operator.restore("before")
        for name in ROWS:
            forget(stack, name)


def forget(stack: Stack, name: str) -> None:
    shutil.rmtree(ledgers(stack, name))
    shutil.copytree(stack.folder / f"seen-{name}", ledgers(stack, name))


def ledgers(stack: Stack, name: str) -> Path:
    return stack.home(name).folder / "ledgers"


def kept(stack: Stack, name: str) -> Kept:
    (found,) = Ledgers(stack.home(name)).all()
    return found


def refused(stack: Stack, code: str) -> bool:
    """An agent will not train for the next round, and says why.

    False: the hub itself found out before it opened the round, and took no entry for it.
    """
    run = stack.start_run(plan(count=1, every="never", seed=72, rounds={"quorum": 1}), "ada")

    def is_declined() -> bool:
        return bool(stack.sql(DECLINED, run, code, code))

    def is_unopened() -> bool:
        return stack.value(STOPPED) and not stack.value(ROUNDS, run)

    wait_until(lambda: is_declined() or is_unopened(), seconds=90, what=f"no {code}")
    if stack.state(run) != "failed":
        stack.change("UPDATE runs_run SET state = 'cancelled', ended_at = now() WHERE id = %s", run)
        stack.change(
            "UPDATE runs_task SET state = 'cancelled', lease_expires_at = NULL "
            "WHERE state IN ('queued', 'leased')"
        )
    wait_until(lambda: not stack.doings("ada"), what="the agent holds on to its task")
    return is_declined()


def test_agents_refuse_what_an_operator_does_to_a_ledger(
    stack: Stack, plays: Plays, ledger: UUID
) -> None:
    operator = Operator(stack, ledger)
    home = stack.home("ada").folder
    known = ["--ledger-key", str(home / "agent.json"), "--receipt", str(home / "receipts")]
    seen = ["--checkpoint", str(home / "ledgers" / f"{ledger}.json")]
    assert stack.value(WITNESSES, ledger) == len(ROWS)
    honest = stack.verified(stack.ada, *known, *seen)
    assert honest.returncode == 0, honest.stderr

    with undone(stack, operator):
        operator.edit(3)
        for _ in range(5):
            if refused(stack, "ledger_stale"):
                break
            operator.restore("before")  # the signer was there first: once more
            operator.edit(3)
        else:
            pytest.fail("the signer was always there first")
        edited = stack.verified(stack.ada)
        assert (edited.returncode, edited.stderr.split(":")[0]) == (1, "entry 3")
        operator.restore("before")

        operator.rewrite()
        assert refused(stack, "ledger_fork")
        assert kept(stack, "ada").held
        forked = stack.verified(stack.ada, *seen)
        assert (forked.returncode, "another root" in forked.stderr) == (1, True)
        operator.restore("before")
        forget(stack, "ada")

        played(stack, plays, seed=73)
        operator.restore("before")
        assert refused(stack, "ledger_regression")
        back = stack.verified(stack.ada, *known)
        assert (back.returncode, "receipt" in back.stderr) == (1, True)
