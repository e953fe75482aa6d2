"""What must hold after a run, whatever was killed in it.

Read from the database, the disk and the agents' folders; nothing here is code of the product.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.system.processes import wait_until

Row = dict[str, Any]
Sql = Callable[..., list[Row]]
RECEIPT_LABEL = b"fl-receipt-v1"

ROUNDS = """
    SELECT r.id, r.number, r.state, r.start_id, r.frozen, r.summary, v.adapter_id,
           v.number AS version, v.parent_id, v.id AS version_id, v.contributors
    FROM runs_round r LEFT JOIN catalogue_modelversion v ON v.id = r.version_id
    WHERE r.run_id = %s ORDER BY r.number
"""
UPDATES = """
    SELECT u.*, r.number AS round_number FROM runs_update u JOIN runs_round r ON r.id = u.round_id
    WHERE r.run_id = %s
"""
FACTS = """
    SELECT f.*, r.number AS round_number FROM contributions_contributionfact f
    JOIN runs_round r ON r.id = f.round_id WHERE r.run_id = %s AND f.outcome <> 'evaluated'
"""
TASKS = """
    SELECT t.*, r.number AS round_number FROM runs_task t JOIN runs_round r ON r.id = t.round_id
    WHERE r.run_id = %s
"""
ENTRIES = "SELECT key, position, leaf FROM ledger_entry WHERE ledger = %s ORDER BY position"
OPEN_UPLOADS = "SELECT id FROM catalogue_upload WHERE state = 'open'"
UNSENT = "SELECT id FROM common_outboxmessage WHERE sent_at IS NULL"


class Invariants:
    """`sql` reads the hub's database, `home` is the hub's folder, `agents` those of agents."""

    def __init__(self, sql: Sql, home: Path, agents: Sequence[Path]) -> None:
        self.sql = sql
        self.home = home
        self.agents = agents

    def check(self, run_id: UUID, *, trainers: int, evaluations: int) -> str:
        """Check a run that has ended with a result; return the digest of its last adapter."""
        (run,) = self.sql("SELECT * FROM runs_run WHERE id = %s", run_id)
        assert run["state"] == "completed", run
        assert run["ended_at"] is not None
        rounds = self.sql(ROUNDS, run_id)
        updates = self.sql(UPDATES, run_id)
        self.check_rounds(run, rounds)
        for one in rounds:
            own = [u for u in updates if u["round_id"] == one["id"]]
            self.check_round(one, own, trainers, amount=counted_by(run["plan"]))
        self.check_facts(run_id, rounds, updates)
        self.check_tasks(run_id, len(rounds) * trainers, evaluations)
        self.check_events(run_id, rounds, updates)
        self.check_receipts(updates)
        self.check_ledger(run, rounds, updates)
        self.check_files(updates, rounds)
        last: str = rounds[-1]["adapter_id"]
        return last

    def check_rounds(self, run: Row, rounds: list[Row]) -> None:
        """An unbroken chain: each round once, each starting from the result of the last."""
        assert [r["number"] for r in rounds] == list(range(1, run["plan"]["rounds"]["count"] + 1))
        assert {r["state"] for r in rounds} == {"closed"}
        starts = [run["start_id"], *(r["adapter_id"] for r in rounds)]
        assert [r["start_id"] for r in rounds] == starts[:-1]
        parents = [run["parent_version_id"], *(r["version_id"] for r in rounds)]
        assert [r["parent_id"] for r in rounds] == parents[:-1]
        numbers = [r["version"] for r in rounds]
        assert numbers == sorted(set(numbers))

    def check_round(
        self, one: Row, updates: list[Row], trainers: int, *, amount: Callable[[Row], int]
    ) -> None:
        """One update of each, all of them counted, none twice; the weights are whole."""
        assert len(updates) == trainers == len({u["participation_id"] for u in updates})
        assert {u["state"] for u in updates} == {"accepted"}
        counted = sorted((str(u["id"]), u["artifact_id"]) for u in updates)
        assert sorted((f["update"], f["sha256"]) for f in one["frozen"]) == counted
        assert sorted((c["update"], c["digest"]) for c in one["contributors"]) == counted
        total = sum(map(amount, updates))
        shares = {str(u["id"]): amount(u) / total for u in updates}
        for contributor in one["contributors"]:
            assert math.isclose(contributor["weight"], shares[contributor["update"]])
        assert math.isclose(math.fsum(c["weight"] for c in one["contributors"]), 1.0)

    def check_facts(self, run_id: UUID, rounds: list[Row], updates: list[Row]) -> None:
        """One contribution for each counted update, and no other."""
        facts = self.sql(FACTS, run_id)
        assert Counter(f["update_id"] for f in facts) == Counter(u["id"] for u in updates)
        assert {f["outcome"] for f in facts} == {"accepted"}
        for one in rounds:
            weights = [f["weight"] for f in facts if f["round_id"] == one["id"]]
            assert math.isclose(math.fsum(weights), 1.0)
        by_update = {u["id"]: u for u in updates}
        for fact in facts:
            for name in ("examples", "tokens", "steps", "device_seconds"):
                assert fact[name] == by_update[fact["update_id"]][name]

    def check_tasks(self, run_id: UUID, trainings: int, evaluations: int) -> None:
        """Everything is done, nothing is held."""
        tasks = self.sql(TASKS, run_id)
        kinds = Counter(t["type"] for t in tasks)
        assert kinds == Counter({"train": trainings, "evaluate": evaluations})
        assert {t["state"] for t in tasks} == {"completed"}
        assert all(t["lease_expires_at"] is None for t in tasks)
        measured = self.sql("SELECT * FROM catalogue_evaluation WHERE run_id = %s", run_id)
        places = {(m["round_number"], m["participation_id"]) for m in measured}
        assert len(places) == len(measured)
        assert len([m for m in measured if m["round_number"] > 0]) == evaluations
        assert not self.sql(OPEN_UPLOADS)
        assert not self.sql(UNSENT)

    def check_events(self, run_id: UUID, rounds: list[Row], updates: list[Row]) -> None:
        """Each transition left one event, and they lead from one state to the next."""
        events = self.sql("SELECT * FROM common_event WHERE run_id = %s ORDER BY id", run_id)
        states: dict[UUID, str] = {}
        for event in events:
            if event["from_state"]:
                before = states.get(event["subject_id"], event["from_state"])
                assert before == event["from_state"], event
                states[event["subject_id"]] = event["to_state"]
        kinds = Counter(e["kind"] for e in events)
        assert kinds["run.completed"] == kinds["run.running"] == 1
        assert kinds["round.closed"] == kinds["round.aggregating"] == len(rounds)
        assert kinds["update.received"] == kinds["update.accepted"] == len(updates)

    def check_ledger(self, run: Row, rounds: list[Row], updates: list[Row]) -> None:
        """Every act has its entry, in a ledger without a gap; receipts say where theirs is."""
        entries = {row["key"]: row for row in self.sql(ENTRIES, run["federation_id"])}
        assert [row["position"] for row in entries.values()] == list(range(len(entries)))
        measured = self.sql("SELECT id FROM catalogue_evaluation WHERE run_id = %s", run["id"])
        wanted = {
            f"run:{run['id']}",
            *(f"round:{one['id']}:{what}" for one in rounds for what in ("opened", "closed")),
            *(f"version:{one['version_id']}" for one in rounds),
            *(f"evaluation:{one['id']}" for one in measured),
            *(f"update:{one['id']}" for one in updates),
        }
        assert wanted <= entries.keys(), wanted - entries.keys()
        verdicts = Counter(key.split(":")[1] for key in entries if ":judged:" in key)
        assert all(verdicts[str(update["id"])] == 1 for update in updates)
        for update in updates:
            entry, receipt = entries[f"update:{update['id']}"], update["receipt"]
            assert receipt["ledger_index"] == entry["position"]
            assert receipt["entry_sha256"] == bytes(entry["leaf"]).hex()

    def check_receipts(self, updates: list[Row]) -> None:
        """What agents hold the hub's word for is what the hub holds, byte for byte."""
        held = {
            UUID(file.stem): (agent, json.loads(file.read_bytes()))
            for agent in self.agents
            for file in (agent / "receipts").glob("*.json")
        }
        known = {row["id"] for row in self.sql("SELECT id FROM runs_update")}
        assert held.keys() <= known, "an acknowledged update was lost"
        for update in updates:
            assert update["id"] in held, f"no receipt for update {update['id']}"
            agent, document = held[update["id"]]
            assert document["statement"] == update["statement"]
            assert document["receipt"] == update["receipt"]
            assert document["statement"]["update_sha256"] == update["artifact_id"]
            verify(document, json.loads((agent / "agent.json").read_bytes())["hub_public_key"])

    def is_all_named(self) -> bool:
        """Cards and signatures come after the run; for a moment they are there without a name."""
        sizes = {a["sha256"]: a["size_bytes"] for a in self.sql("SELECT * FROM catalogue_artifact")}
        return {name: path.stat().st_size for name, path in self.stored().items()} == sizes

    def stored(self) -> dict[str, Path]:
        return {path.parent.name + path.name: path for path in (self.home / "blobs").glob("??/*")}

    def check_files(self, updates: list[Row], rounds: list[Row]) -> None:
        """Every named artifact is stored whole, and nothing is stored without a name."""
        wait_until(self.is_all_named, seconds=20, what="something is stored without a name")
        stored = self.stored()
        for digest in {u["artifact_id"] for u in updates} | {r["adapter_id"] for r in rounds}:
            with stored[digest].open("rb") as file:
                assert file_digest(file, "sha256").hexdigest() == digest
        assert not list((self.home / "blobs").glob("parts/*"))
        wait_until(lambda: not list((self.home / "uploads").glob("*")), what="an upload is left")


def counted_by(plan: Mapping[str, Any]) -> Callable[[Row], int]:
    """Updates count by their examples; with control variates each as one."""
    is_controlled = plan.get("server", {}).get("optimiser") == "scaffold"
    return lambda update: 1 if is_controlled else int(update["examples"])


def verify(document: Row, public_key: str) -> None:
    """Raise unless the receipt is signed by the hub, over this statement."""
    receipt = document["receipt"]
    statement = sha256(rfc8785.dumps(document["statement"])).hexdigest()
    assert receipt["statement_sha256"] == statement
    names = ("update", "statement_sha256", "received_at")
    payload = rfc8785.dumps({name: receipt[name] for name in names})
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
    key.verify(base64.b64decode(receipt["signature"]), RECEIPT_LABEL + b"\0" + payload)
