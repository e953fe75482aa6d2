"""Five organisations of five kinds on CLINC150, through a hub; `-s` shows what it says of them.

Three train with real agents: one with much, one with little, one that had 70 % of its labels
shuffled. Two play false, with a client of their own: one sends back what it got, one sends the
large one's update again under a little noise.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from agent.datasets import found_in
from tests.agent import tiny
from tests.federation.attacks import DATA
from tests.system.courier import Courier, opened
from tests.system.processes import wait_until
from tests.system.stack import ROOT, Stack, plan, standing, start_agent

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not (DATA / "clinc150").is_dir(), reason=f"the data of the task is not in {DATA}"
    ),
]

LARGE, SMALL, SHUFFLED, ZERO, COPY = MEMBERS = ("large", "small", "shuffled", "zero", "copy")
COUNTS = {LARGE: 1200, SMALL: 100, SHUFFLED: 400, ZERO: 400, COPY: 1200}
HONEST = (LARGE, SMALL, SHUFFLED)
TESTED, ROUNDS, BUDGET = 120, 3, 1000
BEGINS = "about"  # a first word alike in all texts, whose place gathers what the others say

KINDS = {
    LARGE: "large",
    SMALL: "small",
    SHUFFLED: "shuffled labels",
    ZERO: "sends no change",
    COPY: "sends the large one's again",
}
GUIDE = ROOT / "docs" / "contributions.md"
FIGURE = r"(?<![\w.])[+−]?\d[\d,]*(?:\.\d+)?"
UNSIGNED = """
    SELECT count(*) FROM ledger_head h WHERE h.size > (
        SELECT coalesce(max(c.size), 0) FROM ledger_checkpoint c WHERE c.ledger = h.ledger)
"""

Flags = set[tuple[str, tuple[str, ...]]]
Rows = list[dict[str, str]]


def read(name: str) -> Rows:
    with (DATA / "clinc150" / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(7).shuffle(rows)
    return rows


@pytest.fixture(scope="module")
def stack(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("five")
    train, test = read("train.csv"), read("test.csv")
    counted = Counter(word for row in train for word in row["text"].split())
    known = [BEGINS, *(word for word, _ in counted.most_common(2000) if word != BEGINS)]
    sizes = {"hidden_size": 64, "initializer_range": 0.2, "num_attention_heads": 4}
    base = tiny.make_base(folder / "five", layers=1, known=known, **sizes)
    with standing(folder, base, wide, members=MEMBERS, rows={}) as stack:
        for place, name in enumerate(HONEST):
            begin = sum(COUNTS[one] for one in HONEST[:place])
            own = train[begin : begin + COUNTS[name]]
            tests = test[place * TESTED : (place + 1) * TESTED]
            data = write(folder / "data" / name, own, tests, is_shuffled=name == SHUFFLED)
            start_agent(stack, name, found_in(data, text="text", label="domain"))
        yield stack


def write(folder: Path, train: Rows, test: Rows, *, is_shuffled: bool) -> Path:
    chosen = random.Random(8)
    domains = sorted({row["domain"] for row in train})
    folder.mkdir(parents=True)
    for name, rows in (("train", train), ("test", test)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "domain"])
            for row in rows:
                is_wrong = name == "train" and is_shuffled and chosen.random() < 0.7
                domain = chosen.choice(domains) if is_wrong else row["domain"]
                table.writerow([f"{BEGINS} {row['text']}", domain])
    return folder


class Cheat(Courier):
    """A client that does not train, and measures nothing for others."""

    def __init__(self, stack: Stack, name: str, made: Callable[[Cheat], bytes]) -> None:
        self.stack, self.name, self.made = stack, name, made
        self.hand = stack.hand(name)
        self.offer = {}

    def look(self) -> None:
        """Do the next task, if there is one."""
        asked = {"agent_version": "0", "federations": [self.stack.facts["slug"]]}
        answer = self.hand.post("leases?wait=0", asked)
        if answer.status_code != 200:
            return
        self.offer = answer.json()
        if self.offer["spec"]["type"] == "train":
            content = self.made(self)
            self.upload(content)
            said = {"examples": COUNTS[self.name], "participation_rank": self.offer["spec"]["rank"]}
            sent = self.submit(content, **said)
            assert sent.status_code == 201, sent.text
        else:
            told = {"code": "declined_by_policy", "detail": "work: none of it", "retry": False}
            self.hand.post(f"{self.task}/failures", {"fence": self.offer["fence"], **told})

    def beat(self) -> None:
        self.hand.post(
            f"{self.task}/heartbeats",
            {"fence": self.offer["fence"], "progress": {"phase": "training"}},
        )


def large_one_again(cheat: Cheat) -> bytes:
    """What the large one has sent in this round, a little off; they have one administrator."""
    stack = cheat.stack
    query = """
        SELECT u.artifact_id FROM runs_update u JOIN runs_task t ON t.id = u.task_id
        JOIN runs_round r ON r.id = t.round_id
        WHERE u.participation_id = %s AND r.run_id = %s AND r.number = %s
    """
    this = (stack.participation(LARGE), cheat.offer["run"], cheat.offer["round"])

    def has_sent() -> bool:
        cheat.beat()
        return bool(stack.sql(query, *this))

    wait_until(has_sent, seconds=200, every=0.5, what="the large one sends nothing")
    digest = stack.value(query, *this)
    sent = (stack.folder / "hub" / "blobs" / digest[:2] / digest[2:]).read_bytes()
    start, data = (np.frombuffer(opened(one)[1], "<f4") for one in (cheat.start(), sent))
    change = data - start
    drawn = np.random.default_rng(cheat.offer["round"]).normal(size=len(change))
    drawn *= 0.05 * np.linalg.norm(change) / np.linalg.norm(drawn) * (change != 0)
    return sent[: -data.nbytes] + (data + drawn).astype("<f4").tobytes()


def test_each_kind_gets_what_it_is_worth_and_the_guide_has_the_figures(stack: Stack) -> None:
    cheats = [Cheat(stack, ZERO, Cheat.start), Cheat(stack, COPY, large_one_again)]
    run = begun(stack)
    wait_until(lambda: has_ended(stack, run, cheats), seconds=400, every=0.2, what="it goes on")
    assert stack.state(run) == "completed"
    flags = decided(stack, run)
    assert flags == {("zero_update", (ZERO,)), ("near_copy", (COPY, LARGE))}
    rows = {name: row_of(stack, run, name, flags) for name in MEMBERS}
    print("\n" + "\n".join(rows.values()))

    value = {name: one["value"] for name, one in worths(stack).items()}
    assert worths(stack)[ZERO] | {"value": 0.0, "lower": 0.0, "upper": 0.0} == worths(stack)[ZERO]
    assert value[SHUFFLED] / COUNTS[SHUFFLED] < value[SMALL] / COUNTS[SMALL]
    assert worths(stack)[LARGE]["lower"] > worths(stack)[SHUFFLED]["upper"]
    paid = credits_in(stack, run)
    assert (sum(paid.values()), paid[ZERO]) == (BUDGET, 0)
    assert abs(paid[LARGE] - paid[COPY]) <= 1  # of credits that do not come out even
    checked = verified(stack)
    assert (checked["statements"], checked["valuations"]) == (ROUNDS * len(MEMBERS), ROUNDS)

    written = GUIDE.read_text()
    for name, row in rows.items():
        (line,) = re.findall(rf"^\| {re.escape(KINDS[name])} \| 3 .*$", written, re.MULTILINE)
        assert figures(line) == pytest.approx(figures(row), rel=0.05, abs=0.03), row


def decided(stack: Stack, run: UUID) -> Flags:
    """Have people uphold every case, nobody one about themselves; returns what there was."""
    names, found = by_place(stack), set()
    for case in stack.person(LARGE).all("/cases", run=str(run)):
        about = tuple(sorted(names[place] for place in case["participations"]))
        judge = SMALL if LARGE in about else LARGE
        stack.person(judge).post(f"/cases/{case['id']}/uphold", {"reason": "It is what it is."})
        found.add((case["kind"], about))
    return found


def row_of(stack: Stack, run: UUID, name: str, flags: Flags) -> str:
    facts = [
        one
        for one in stack.person(LARGE).all("/contributions", run=str(run))
        if one["participation"] == stack.participation(name) and one["outcome"] == "accepted"
    ]
    worth = worths(stack)[name]
    cells = (
        KINDS[name],
        f"{len(facts)} of {sum(one['examples'] for one in facts) // len(facts):,}",
        f"{sum(one['bytes_up'] for one in facts) / 1000:.0f} kB",
        f"{worth['value']:+.3f}",
        f"{worth['lower']:+.3f} to {worth['upper']:+.3f}",
        ", ".join(f"`{kind}`" for kind, who in flags if name in who) or "none",
        f"{credits_in(stack, run)[name]}",
    )
    return f"| {' | '.join(cells)} |".replace("-0.", "−0.")


def by_place(stack: Stack) -> dict[str, str]:
    return {stack.participation(name): name for name in MEMBERS}


def worths(stack: Stack) -> dict[str, dict[str, Any]]:
    """What each was worth in all rounds together."""
    found = stack.person(LARGE).get(f"/federations/{stack.facts['federation']}/valuations")
    return {by_place(stack)[one["participation"]]: one for one in found["cumulated"]}


def credits_in(stack: Stack, run: UUID) -> dict[str, int]:
    def found() -> list[dict[str, Any]]:
        return stack.person(LARGE).all("/credits", run=str(run))

    wait_until(found, what="nothing is split")
    paid = Counter(dict.fromkeys(MEMBERS, 0))
    for one in found():
        paid[by_place(stack)[one["participation"]]] += one["paid"] + one["held"]
    return dict(paid)


def verified(stack: Stack) -> dict[str, int]:
    """What a member counts who checks the whole ledger, and does not ask the hub."""
    wait_until(lambda: stack.value(UNSIGNED) == 0, what="the ledger is not signed")
    ran = stack.verified(stack.person(LARGE), "--json")
    assert ran.returncode == 0, ran.stdout
    checked: dict[str, int] = json.loads(ran.stdout)["checked"]
    return checked


def figures(row: str) -> list[float]:
    """What stands behind the name and before the signs, and the credits."""
    return [float(text.replace("−", "-").replace(",", "")) for text in re.findall(FIGURE, row)]


def begun(stack: Stack) -> UUID:
    domains = sorted({row["domain"] for row in read("train.csv")})
    document = plan(
        count=ROUNDS,
        every="never",
        seed=5,
        task={"labels": domains, "max_tokens": 24},
        adapter={"rank": 8, "alpha": 16.0},
        training={"batch_size": 16},
        rounds={"quorum": len(MEMBERS)},
        transfer={"attributable": True},
        valuation={"method": "shapley", "probe": "members", "examples": TESTED},
        rewards={"budget": BUDGET},
    )
    made = stack.person(LARGE).post(
        "/runs",
        {
            "federation": stack.facts["federation"],
            "name": "Five",
            "plan": document,
            "trainers": [stack.participation(name) for name in MEMBERS],
            "start": True,
        },
    )
    return UUID(made["id"])


def has_ended(stack: Stack, run: UUID, cheats: Sequence[Cheat]) -> bool:
    """Let the cheats do what they do, and people let their updates count."""
    for cheat in cheats:
        cheat.look()
    for held in stack.person(LARGE).all("/updates", run=str(run), state="quarantined"):
        stack.person(LARGE).post(f"/updates/{held['id']}/accept", {"reason": "What is it worth?"})
    valued = stack.person(LARGE).all("/valuations", run=str(run))
    return stack.state(run) in {"completed", "failed"} and all(
        one["state"] in {"recorded", "failed"} for one in valued
    )
