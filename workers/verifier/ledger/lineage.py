"""What must follow from entries before: rounds from runs, versions from rounds, credits.

Of rounds that are long over nothing is remembered but their results, so memory stays bounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from verifier.faults import Wrong
from verifier.ledger.canon import written
from verifier.ledger.splitting import check_credits

REWARD_LABEL = b"foedus/rewards/v1"
FOUNDED = "federation.founded"
ROUNDS_KEPT = 3  # of a run, with their updates: a late one may count in the next

Said = Mapping[str, Any]


@dataclass(slots=True)
class Update:
    participation: str
    sha256: str
    examples: int
    declared: int | None = None  # at most, when it was sent
    verdict: str = ""


@dataclass(slots=True)
class Round:
    number: int
    start: str
    result: str = ""
    counted: frozenset[str] = frozenset()  # digests


@dataclass(slots=True)
class Run:
    plan_digest: str
    rewards: Said | None
    rounds: dict[str, Round] = field(default_factory=dict)
    updates: dict[str, dict[str, Update]] = field(default_factory=dict)  # by round, the newest

    def newest(self) -> Round | None:
        return next(reversed(self.rounds.values()), None)

    def open(self, name: str, opened: Round) -> None:
        self.rounds[name], self.updates[name] = opened, {}
        if len(self.updates) > ROUNDS_KEPT:
            del self.updates[next(iter(self.updates))]

    def update(self, name: str) -> Update | None:
        return next((own[name] for own in self.updates.values() if name in own), None)


@dataclass(slots=True)
class Reward:
    run: str
    balances: dict[str, tuple[int, int]]  # paid and held, by participation
    is_released: bool = False


class Before(Exception):
    """It is about what was before the ledger."""


@dataclass(slots=True)
class Lineage:
    """What is known when the next entry comes.

    `is_later`: the federation is older than its ledger, so not all that is named is in it.
    """

    is_later: bool = False
    runs: dict[str, Run] = field(default_factory=dict)
    run_of: dict[str, str] = field(default_factory=dict)  # of rounds
    versions: dict[str, str] = field(default_factory=dict)  # adapter's digest, or empty
    valuations: dict[str, tuple[str, int, dict[str, float]]] = field(default_factory=dict)
    rewards: dict[str, Reward] = field(default_factory=dict)
    declared: dict[str, tuple[int, int]] = field(default_factory=dict)  # the last two, of places

    def follow(self, kind: str, key: str, said: Said) -> None:
        """The next entry, of a kind that has a step.

        Raises Wrong, and KeyError or TypeError for what such an entry lacks.
        """
        try:
            STEPS[kind](self, key, said)
        except Before:
            return

    def _unknown(self, what: str) -> NoReturn:
        if self.is_later:
            raise Before
        raise Wrong(f"the ledger does not know {what}")

    def _run(self, name: str) -> Run:
        if name not in self.runs:
            self._unknown(f"the run {name}")
        return self.runs[name]

    def _round(self, name: str) -> tuple[Run, Round]:
        if name not in self.run_of:
            self._unknown(f"the round {name}")
        run = self.runs[self.run_of[name]]
        return run, run.rounds[name]

    def _founded(self, _key: str, said: Said) -> None:
        self.is_later = said["since"] is not None

    def _started(self, _key: str, said: Said) -> None:
        self.runs[said["run"]] = Run(said["plan_digest"], said["rewards"])
        if said["parent"]:
            self.versions.setdefault(said["parent"], "")

    def _opened(self, _key: str, said: Said) -> None:
        run = self._run(said["run"])
        before = run.newest()
        if said["plan_digest"] != run.plan_digest:
            raise Wrong("it opens a round of another plan")
        if before and before.result and said["start"] != before.result:
            raise Wrong("it does not start from the result of the round before")
        if before and said["number"] - before.number not in {1, 0 if not before.result else 1}:
            raise Wrong(f"round {said['number']} follows round {before.number}")
        run.open(said["round"], Round(said["number"], said["start"]))
        self.run_of[said["round"]] = said["run"]

    def _declared(self, _key: str, said: Said) -> None:
        before, _ = self.declared.get(said["participation"], (said["train_examples"], 0))
        self.declared[said["participation"]] = said["train_examples"], before

    def _submitted(self, _key: str, said: Said) -> None:
        run, current = self._round(said["round"])
        signed = said["statement"]
        expected = {
            "run": self.run_of[said["round"]],
            "round": current.number,
            "plan_digest": run.plan_digest,
            "start_sha256": current.start,
        }
        for name, value in expected.items():
            if signed[name] != value:
                raise Wrong(f"the statement is of another round: {name} is {signed[name]}")
        if said["round"] in run.updates:
            # A change of the declaration may have been signed at the same time.
            declared = max(self.declared.get(said["participation"], ()), default=None)
            run.updates[said["round"]][said["update"]] = Update(
                said["participation"], signed["update_sha256"], signed["examples"], declared
            )

    def _judged(self, _key: str, said: Said) -> None:
        run, _ = self._round(said["round"])
        update = run.update(said["update"])
        if update is not None:
            update.verdict = said["verdict"]
        elif said["round"] in run.updates:
            raise Wrong(f"it judges an update that the ledger does not know: {said['update']}")

    def _closed(self, _key: str, said: Said) -> None:
        run, current = self._round(said["round"])
        for one in said["updates"]:
            known = run.update(one["update"])
            if known is None:
                raise Wrong(f"it counts an update that the ledger does not know: {one['update']}")
            if (known.sha256, known.participation) != (one["sha256"], one["participation"]):
                raise Wrong(f"the update {one['update']} is not the one that was signed")
            if known.verdict != "accepted":
                raise Wrong(f"it counts an update that is {known.verdict or 'not judged'}")
            if known.declared is not None and known.examples > known.declared:
                raise Wrong(f"it counts {known.examples} examples of {known.declared} declared")
        current.result = said["result"]
        current.counted = frozenset(one["sha256"] for one in said["updates"])
        self._name_version(said["version"], said["result"])

    def _published(self, _key: str, said: Said) -> None:
        self._name_version(said["version"], said["adapter"])
        if said["parent"] and said["parent"] not in self.versions:
            self._unknown(f"its parent {said['parent']}")

    def _name_version(self, version: str, adapter: str | None) -> None:
        known = self.versions.get(version, "")
        if known and adapter and known != adapter:
            raise Wrong(f"the version {version} has another adapter, {known}")
        self.versions[version] = adapter or known

    def _valued(self, key: str, said: Said) -> None:
        values = {one["participation"]: one["value"] for one in said["values"]}
        self.valuations[key] = said["run"], said["round"], values
        run = self._run(said["run"])
        found = [(one, each) for one, each in run.rounds.items() if each.number == said["round"]]
        if not found:
            self._unknown(f"round {said['round']} of its run")
        _, current = found[-1]
        used = {digest for player in said["players"] for digest in player["updates"]}
        if not used <= current.counted:
            raise Wrong("it values updates that its round has not counted")
        if said["seed"] is not None:
            _check_players(said)
            if said["seed"] != _seed(run, current, used, said["charter_digest"]):
                raise Wrong("its seed was chosen: it does not follow from round and charter")

    def _granted(self, key: str, said: Said) -> None:
        run = self._run(said["run"])
        self._check_rule(run, said)
        split = check_credits(said, self._values(said))
        balances = {one: (split.paid[one], split.held[one]) for one in split.paid}
        self.rewards[said["reward"]] = Reward(said["run"], balances)
        if key != f"reward:{said['reward']}":
            raise Wrong("it is the entry of another reward")

    def _check_rule(self, run: Run, said: Said) -> None:
        seed = hashlib.sha256(REWARD_LABEL + bytes.fromhex(run.plan_digest)).hexdigest()
        if said["seed"] != seed:
            raise Wrong("its seed was chosen: it does not follow from the plan")
        if run.rewards is None:
            return
        promised = {name: run.rewards[name] for name in ("rho", "floor", "hold_back")}
        if (said["budget"], said["rule"]) != (run.rewards["budget"], promised):
            raise Wrong("budget or rule are not those of the plan")

    def _values(self, said: Said) -> list[tuple[int, dict[str, float]]]:
        found = []
        for name in said["valuations"]:
            run, number, values = self.valuations.get(name, ("", 0, {}))
            if run != said["run"]:
                self._unknown(f"a valuation {name} of its run")
            found.append((number, values))
        return found

    def _released(self, _key: str, said: Said) -> None:
        reward = self._reward(said)
        for one in said["credits"]:
            paid, held = reward.balances.get(one["participation"], (0, 0))
            released = held if one["kind"] == "released" else 0
            if (one["paid"], one["held"]) != (released, -held):
                raise Wrong(f"{one['participation']} has {held} held, and gets {one['paid']}")
            reward.balances[one["participation"]] = (paid + released, 0)
        if any(held for _, held in reward.balances.values()):
            raise Wrong("something is still held back")
        reward.is_released = True

    def _corrected(self, _key: str, said: Said) -> None:
        if "reward" not in said:
            return
        reward = self._reward(said)
        self._check_rule(self._run(said["run"]), said)
        split = check_credits(said, self._values(said))
        for one in said["changes"]:
            paid, held = reward.balances.get(one["participation"], (0, 0))
            reward.balances[one["participation"]] = (paid + one["paid"], held + one["held"])
        for player, balance in reward.balances.items():
            due = split.paid.get(player, 0), split.held.get(player, 0)
            after = {(sum(due), 0), (due[0], 0)} if reward.is_released else {due}
            if balance not in after:
                raise Wrong(f"{player} has {balance} after it, and {due} follow")

    def _reward(self, said: Said) -> Reward:
        if said["reward"] not in self.rewards:
            self._unknown(f"the reward {said['reward']}")
        return self.rewards[said["reward"]]


Step = Callable[[Lineage, str, Said], None]
STEPS: Mapping[str, Step] = {
    FOUNDED: Lineage._founded,  # noqa: SLF001 (the table of what each type asks for)
    "run.started": Lineage._started,  # noqa: SLF001
    "round.opened": Lineage._opened,  # noqa: SLF001
    "data.declared": Lineage._declared,  # noqa: SLF001
    "update.submitted": Lineage._submitted,  # noqa: SLF001
    "update.judged": Lineage._judged,  # noqa: SLF001
    "round.closed": Lineage._closed,  # noqa: SLF001
    "version.published": Lineage._published,  # noqa: SLF001
    "valuation.recorded": Lineage._valued,  # noqa: SLF001
    "reward.granted": Lineage._granted,  # noqa: SLF001
    "reward.released": Lineage._released,  # noqa: SLF001
    "correction": Lineage._corrected,  # noqa: SLF001
}


def _check_players(said: Said) -> None:
    recorded = [(one["id"], one["weight"]) for one in said["record_players"]]
    if recorded != [(one["id"], one["weight"]) for one in said["players"]]:
        raise Wrong("its record is of other players or weights")


def _seed(run: Run, current: Round, used: set[str], charter_digest: str) -> str:
    frozen = {
        "plan": run.plan_digest,
        "round": current.number,
        "start": current.start,
        "updates": sorted(used),
    }
    digest = hashlib.sha256(written(frozen).encode()).digest()
    return hashlib.sha256(digest + bytes.fromhex(charter_digest)).hexdigest()
