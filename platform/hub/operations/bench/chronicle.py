"""A ledger that nobody lived through: as many entries as are wanted, all of them right.

Members enrol, sign, declare and train round after round; rounds close, versions are published,
contributions are valued and paid. What is signed is signed with real keys.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

from federation.keys import key_id, private_key, public_key_of
from federation.ledger import entries, notes
from federation.ledger.merkle import CompactRange, leaf_hash
from federation.plan import canonical
from federation.valuation import (
    Bin,
    Measured,
    RewardRule,
    Table,
    Valuation,
    credits_of,
    document_of,
    seed_of,
    valuations,
)

HOST = "bench.example"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
CHARTER = sha256(b"charter").hexdigest()
REWARDS = {"budget": 10_000, "rho": 1.0, "floor": 0.1, "hold_back": 0.2, "hold_days": 30}
PLAN = json.dumps({"name": "bench", "rewards": REWARDS}, sort_keys=True, separators=(",", ":"))
PLAN_DIGEST = sha256(PLAN.encode()).hexdigest()
BINS = 8

_write = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def named(what: str) -> str:
    """An identifier that is the same each time."""
    return str(UUID(bytes=sha256(what.encode()).digest()[:16]))


def digest(what: str) -> str:
    return sha256(what.encode()).hexdigest()


@dataclass(slots=True)
class Member:
    name: str
    private: bytes
    participation: str = field(init=False)
    agent: str = field(init=False)

    def __post_init__(self) -> None:
        self.participation, self.agent = named(f"place {self.name}"), named(f"agent {self.name}")

    @property
    def public(self) -> bytes:
        return public_key_of(self.private)

    @property
    def key_id(self) -> str:
        return key_id(self.public)

    @property
    def who(self) -> dict[str, str]:
        organisation = named(f"organisation {self.name}")
        return {"participation": self.participation, "organisation": organisation}


class Chronicle:
    """Writes the rows of an export, in order."""

    def __init__(self, *, members: int, valued_every: int, signed_every: int) -> None:
        """`valued_every`, `signed_every`: rounds between two valuations, and two checkpoints."""
        self.ledger = UUID(named("federation"))
        self.members = [Member(str(one), _private(f"member {one}")) for one in range(members)]
        self.key = _private("ledger")
        self.tree = CompactRange()
        self.checkpoints: list[str] = []
        self._valued_every, self._signed_every = valued_every, signed_every
        self._last, self._at = entries.NO_ENTRY, BEGINNING
        self._rounds, self._dice = 0, Random(0)  # noqa: S311 (no secret)
        self._acts = 0

    @property
    def origin(self) -> str:
        return notes.origin_of(HOST, self.ledger)

    def rows(self, size: int) -> Iterator[str]:
        """At least so many entries, then the checkpoints and the key."""
        yield from self.founding()
        while self.tree.size < size:
            yield from self.run(rounds=50)
        self.sign()
        yield from self.ending()

    def ending(self) -> Iterator[str]:
        yield from (f"{_write({'checkpoint': note})}\n" for note in self.checkpoints)
        key = notes.VerifierKey(HOST, public_key_of(self.key))
        yield f"{_write({'ledger_key': str(key)})}\n"

    def founding(self) -> Iterator[str]:
        founded = {"federation": str(self.ledger), "charter_digest": CHARTER, "since": None}
        yield self.entry("federation.founded", "federation", founded)
        for member in self.members:
            signed = {**member.who, "charter_digest": CHARTER, "signed_at": self._time()}
            yield self.entry("charter.signed", f"charter:{member.name}", signed)
            place = {**member.who, "standing": "member"}
            yield self.entry("participation.admitted", f"admitted:{member.name}", place)
            yield self.entry("key.enrolled", f"key:{member.key_id}", self._key(member))
            data = {**member.who, "number": 1, "train_examples": 5000, "test_examples": 500}
            yield self.entry("data.declared", f"data:{member.name}", data)

    def rotate(self, member: Member) -> Iterator[str]:
        """Another key in the place of a member's, which is good for a day more."""
        before, member.private = member.key_id, _private(f"{member.name} {self._acts}")
        until = entries.time_of(self._at + timedelta(days=1))
        said = {**self._key(member), "replaces": before, "replaced_until": until}
        yield self.entry("key.rotated", f"key:{member.key_id}", said)

    def leave(self, member: Member) -> Iterator[str]:
        self.members.remove(member)
        said = {**member.who, "agent": member.agent, "key_id": member.key_id}
        until = {"valid_until": self._time()}
        yield self.entry("key.revoked", f"revoked:{member.key_id}", {**said, **until})
        reason = {**member.who, "reason_sha256": digest("moved on")}
        yield self.entry("participation.left", f"left:{member.name}", reason)

    def run(self, *, rounds: int, parent: str | None = None) -> Iterator[str]:
        run = named(f"run {self._rounds}")
        said = {"run": run, "number": self._rounds, "plan_digest": PLAN_DIGEST, "plan": PLAN}
        roster = sorted(member.participation for member in self.members)
        more = {"trainers": roster, "parent": parent, "probe_sha256": None}
        yield self.entry("run.started", f"run:{run}", {**said, **more})
        start, valued = digest(f"start {run}"), dict[str, dict[str, float]]()
        for number in range(1, rounds + 1):
            self._rounds += 1
            result = digest(f"result {self._rounds}")
            yield from self.round(run, number, start, result, parent)
            parent = named(f"version {self._rounds}")
            if self._rounds % self._valued_every == 0:
                yield from self.valuation(run, number, start, valued)
            if self._rounds % self._signed_every == 0:
                self.sign()
            start = result
        if valued:
            yield from self.reward(run, valued)

    def round(
        self, run: str, number: int, start: str, result: str, parent: str | None
    ) -> Iterator[str]:
        current = named(f"round {self._rounds}")
        which = {"run": run, "round": current, "number": number}
        roster = sorted(member.participation for member in self.members)
        opened = {**which, "plan_digest": PLAN_DIGEST, "start": start, "roster": roster}
        yield self.entry("round.opened", f"round:{current}:opened", opened)
        counted = []
        for member in self.members:
            update = named(f"update {current} {member.name}")
            sha = digest(f"update {self._rounds} {member.name}")
            said = self._submission(member, update, which, start, sha)
            yield self.entry("update.submitted", f"update:{update}", said)
            judged = {"update": update, "round": current, "participation": member.participation}
            verdict = {"verdict": "accepted", "code": "", "norm": 1.5, "decided_by": None}
            yield self.entry("update.judged", f"update:{update}:judged", {**judged, **verdict})
            counted.append({**judged, "sha256": sha, "weight": 1 / len(self.members)})
            counted[-1].pop("round")
        version = named(f"version {self._rounds}")
        closed = {**which, "updates": counted, "strategy": "fedavg", "rule": "mean"}
        ended = {"result": result, "version": version, "report_sha256": digest(current)}
        yield self.entry("round.closed", f"round:{current}:closed", {**closed, **ended})
        published = {"version": version, "number": self._rounds, "parent": parent}
        files = {"adapter": result, "plan_digest": PLAN_DIGEST, "is_baseline": False}
        yield self.entry("version.published", f"version:{version}", {**published, **files})
        for member in self.members:
            yield from self._evaluated(member, run, number, version)

    def _evaluated(self, member: Member, run: str, number: int, version: str) -> Iterator[str]:
        key = f"evaluation:{version}:{member.name}"
        what = {"run": run, "number": number, "version": version, "examples": 500}
        sums = {"participation": member.participation, "correct": 400, "loss_sum": 312.5}
        yield self.entry("evaluation.recorded", key, {**what, **sums})

    def _submission(
        self, member: Member, update: str, which: Mapping[str, Any], start: str, sha: str
    ) -> dict[str, Any]:
        statement = {
            "type": "application/vnd.foedus.update-statement.v1+json",
            "protocol": "1.1",
            "federation": "bench",
            "run": which["run"],
            "round": which["number"],
            "task": named(f"task {update}"),
            "participation_rank": 8,
            "plan_digest": PLAN_DIGEST,
            "start_sha256": start,
            "update_sha256": sha,
            "size_bytes": 1_048_576,
            "examples": 4000,
            "tokens": 120_000,
            "steps": 250,
            "device_seconds": 31.5,
            "metrics": {"loss": 0.75},
            "key_id": member.key_id,
            "made_at": self._time(),
        }
        signed = _write(statement)
        signature = private_key(member.private).sign(b"fl-update-v1\0" + signed.encode())
        return {
            "update": update,
            "round": which["round"],
            "participation": member.participation,
            "agent": member.agent,
            "key_id": member.key_id,
            "statement": signed,
            "signature": base64.b64encode(signature).decode(),
            "late": False,
        }

    def valuation(
        self, run: str, number: int, start: str, valued: dict[str, dict[str, float]]
    ) -> Iterator[str]:
        updates = {
            member.participation: digest(f"update {self._rounds} {member.name}")
            for member in self.members
        }
        frozen = {"plan": PLAN_DIGEST, "round": number, "start": start}
        frozen_updates = {"updates": sorted(updates.values())}
        seed = seed_of(sha256(canonical({**frozen, **frozen_updates})).hexdigest(), CHARTER)
        share = 1 / len(updates)
        game = Valuation(valuations["exact"](), dict.fromkeys(updates, share), seed, samples=100)
        table = Table.of(self._measured(game))
        document = document_of("exact", game, table)
        found = game.valued(table).contributions
        name = named(f"valuation {self._rounds}")
        valued[f"valuation:{name}"] = {player: one.value for player, one in found.items()}
        payload = {
            "valuation": name,
            "run": run,
            "round": number,
            "number": 1,
            "planned": True,
            "charter_digest": CHARTER,
            "players": [
                {"id": player, "weight": share, "updates": [updates[player]]}
                for player in sorted(updates)
            ],
            "probe": digest("probe"),
            "record_sha256": sha256(canonical(document)).hexdigest(),
            "record": document,
            "values": [
                {
                    "participation": player,
                    "value": one.value,
                    "lower": one.lower,
                    "upper": one.upper,
                }
                for player, one in found.items()
            ],
        }
        yield self.entry("valuation.recorded", f"valuation:{name}", payload)

    def _measured(self, game: Valuation) -> list[Measured]:
        """All coalitions on a public probe; the more there are in one, the less is lost."""
        empty, dice = Table({}, {}), self._dice
        return [
            Measured(
                coalition,
                None,
                tuple(
                    Bin(9_000_000 - 100_000 * len(coalition) + dice.randrange(9999), 12)
                    for _ in range(BINS)
                ),
            )
            for coalition in game.wanted(empty, None)
        ]

    def reward(self, run: str, valued: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
        name = named(f"reward {run}")
        seed = sha256(b"foedus/rewards/v1" + bytes.fromhex(PLAN_DIGEST)).hexdigest()
        said = self.told(name, run, seed, valued, suspects={})
        yield self.entry("reward.granted", f"reward:{name}", said)

    def told(
        self,
        name: str,
        run: str,
        seed: str,
        valued: Mapping[str, Mapping[str, float]],
        suspects: Mapping[str, Sequence[int]],
    ) -> dict[str, Any]:
        """What an entry says of credits and what they follow from.

        `suspects`: whose updates counted for nothing, in all rounds that are valued.
        """
        players = sorted({player for values in valued.values() for player in values})
        sums = {
            player: sum(values.get(player, 0.0) for values in valued.values())
            if player not in suspects
            else 0.0
            for player in players
        }
        rule = {part: float(REWARDS[part]) for part in ("rho", "floor", "hold_back")}
        split = credits_of(int(REWARDS["budget"]), sums, RewardRule(**rule), seed)
        return {
            "reward": name,
            "run": run,
            "budget": REWARDS["budget"],
            "rule": rule,
            "seed": seed,
            "valuations": list(valued),
            "clusters": [],
            "suspects": [
                {"participation": player, "rounds": list(rounds)}
                for player, rounds in sorted(suspects.items())
            ],
            "credits": [
                {
                    "participation": player,
                    "value": sums[player],
                    "paid": split.paid[player],
                    "held": split.held[player],
                }
                for player in players
            ],
            "left": split.left,
        }

    def entry(self, kind: str, key: str, payload: Mapping[str, Any]) -> str:
        """The next row."""
        self._acts += 1
        self._at += timedelta(milliseconds=250)
        said = {
            "index": self.tree.size,
            "key": key,
            "ledger": str(self.ledger),
            "payload": payload,
            "prev": self._last.hex(),
            "time": self._time(),
            "type": kind,
        }
        text = _write(said) if kind in PLAIN else entries.canonical(said)
        self._last = leaf_hash(text.encode())
        self.tree.append(self._last)
        return f'{{"entry":{text},"leaf":"{self._last.hex()}"}}\n'

    def sign(self) -> None:
        """A checkpoint of all entries, cosigned by all members."""
        checkpoint = notes.Checkpoint(self.origin, self.tree.size, self.tree.root)
        note = notes.sign_checkpoint(self.key, checkpoint, name=HOST)
        for member in self.members:
            name = notes.witness_name(self.origin, member.key_id)
            note += f"{notes.cosign(member.private, checkpoint, name=name, at=self._at)}\n"
        self.checkpoints.append(note)

    def _key(self, member: Member) -> dict[str, Any]:
        public = base64.b64encode(member.public).decode()
        what = {**member.who, "agent": member.agent, "key_id": member.key_id}
        return {**what, "public_key": public, "valid_from": self._time()}

    def _time(self) -> str:
        return entries.time_of(self._at)


# Of these the standard library writes what RFC 8785 asks for, and much faster.
PLAIN = frozenset({"update.submitted", "update.judged", "evaluation.recorded", "round.opened"})


def _private(what: str) -> bytes:
    return sha256(what.encode()).digest()
