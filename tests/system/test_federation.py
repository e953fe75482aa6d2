"""A federation from the first task to the model that others load, in processes of its own."""

from __future__ import annotations

import json
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.agent import tiny
from tests.system.outsiders import asked, held_out
from tests.system.plays import Plays
from tests.system.processes import wait_until
from tests.system.stack import ROOT, ROWS, Stack, plan

pytestmark = pytest.mark.system

# What docs/models.md leaves to its readers: all held-out texts, by two versions, in both forms.
MORE = """
import sys, torch
from torch.nn.functional import cross_entropy

versions, texts, wanted = json.loads(sys.argv[1])
given = tokenizer(texts, padding=True, return_tensors="pt")
mask = given["attention_mask"].unsqueeze(-1)

def logits_of(model):
    with torch.inference_mode():
        return (model.eval()(**given).logits * mask).sum(1) / mask.sum(1)

found = {}
for version in versions:
    revision = f"v{version}"
    alone = AutoModelForTokenClassification.from_pretrained("coast/adapter-merged", revision=revision)
    bare = AutoModelForTokenClassification.from_pretrained("base/tiny", num_labels=3)
    laid_over = PeftModel.from_pretrained(bare, "coast/adapter", revision=revision)
    found[revision] = [logits_of(model) for model in (laid_over, alone)]
print(json.dumps({
    revision: {
        "apart": float((over - merged).abs().max()),
        "most": float(over.abs().max()),
        "answers": over.argmax(-1).tolist(),
        "losses": cross_entropy(over, torch.tensor(wanted), reduction="none").tolist(),
    }
    for revision, (over, merged) in found.items()
}))
"""
STRANGER = """
import json
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import RepositoryNotFoundError

said = []
for repo in ("coast/adapter", "coast/adapter-merged", "nowhere/adapter", "base/none"):
    for ask in (HfApi().model_info, lambda repo: hf_hub_download(repo, "config.json")):
        try:
            ask(repo)
        except RepositoryNotFoundError as refused:
            said.append(refused.response.status_code)
said.append(hf_hub_download("base/tiny", "config.json").rpartition("/")[2])
print(json.dumps(said))
"""
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


PROBE = [
    {"text": f"{word} {other}", "label": label}
    for label, words in tiny.WORDS.items()
    for word, other in pairwise(words)
]


@pytest.fixture(scope="module")
def run(stack: Stack, plays: Plays) -> UUID:
    """A run from a fresh adapter to its end, checked, with a public probe set."""
    put_in_use(stack, PROBE)
    run = stack.start_run(plan(every="round", seed=20))
    put_in_use(stack, [{"text": "which these models do not read"}])  # later runs go without
    plays.finish(run, "round")
    return run


def put_in_use(stack: Stack, examples: list[dict[str, str]]) -> None:
    about = {"statement": "Pairs of words, made up.", "licence": "CC0-1.0"}
    probe = {"federation": stack.facts["federation"], "examples": examples, **about}
    stack.ada.post("/probes", probe)


def test_a_run_leaves_rounds_versions_and_measures(stack: Stack, run: UUID) -> None:
    assert stack.ada.get(f"/runs/{run}")["state"] == "completed"
    rounds = stack.ada.all("/rounds", run=str(run))
    assert [r["summary"] for r in rounds] == ["Closed with 2 of 2."] * 2
    measured = stack.ada.all("/evaluations", run=str(run))
    assert sorted({m["round_number"] for m in measured}) == [0, 1, 2]
    assert {m["examples"] for m in measured} == {rows // 3 for rows in ROWS.values()}


def test_each_organisation_is_credited_with_what_it_gave(stack: Stack, run: UUID) -> None:
    facts = stack.ada.all("/contributions", run=str(run), outcome="accepted")
    shares = {fact["organisation"]: fact["weight"] for fact in facts}
    assert shares == pytest.approx({"Ada & Co": 0.4, "Blaise & Co": 0.6})
    assert {fact["examples"] for fact in facts} == set(ROWS.values())
    assert all(fact["bytes_up"] > 0 and fact["device_seconds"] > 0 for fact in facts)


def test_start_and_versions_are_measured_on_the_public_probe_set(stack: Stack, run: UUID) -> None:
    def scores() -> list[dict[str, Any]]:
        return stack.ada.all("/probe-scores", federation=stack.facts["federation"])

    wait_until(lambda: {s["state"] for s in scores()} == {"computed"}, what="nobody measures")
    losses = {score["about"]: score["loss_sum"] for score in scores()}
    start, first, second = sorted(losses.values(), reverse=True)
    assert losses["the start of A run"] == start > first > second > 0
    changes = [u["evidence"]["probe"]["change"] for u in stack.ada.all("/updates", run=str(run))]
    assert len(changes) == 4
    assert min(changes) < 0


def test_an_outsider_sees_nothing_of_it(stack: Stack, run: UUID) -> None:
    (last,) = stack.sql("SELECT adapter_id FROM catalogue_modelversion ORDER BY id DESC LIMIT 1")
    for path in (f"/runs/{run}", f"/blobs/{last['adapter_id']}"):
        assert stack.carol.http.get(path).status_code == 404
    assert stack.carol.all("/versions") == []


@pytest.fixture(scope="module")
def versions(stack: Stack, run: UUID) -> dict[int, str]:
    """What the run published, by number; all it asked for first is to be merged already."""
    rounds = sorted(stack.ada.all("/rounds", run=str(run)), key=lambda one: one["number"])
    found = {stack.ada.get(f"/versions/{r['version']}")["number"]: r["version"] for r in rounds}
    for version in found.values():
        assert stack.ada.post(f"/versions/{version}/merge")["state"] in {"queued", "ready"}
    return found


def test_what_loads_as_the_handbook_says_answers_as_it_did_at_the_sites(
    stack: Stack, run: UUID, versions: dict[int, str], tmp_path: Path
) -> None:
    texts = {name: held_out(stack, name) for name in ROWS}
    every = [text for some, _ in texts.values() for text in some]
    wanted = [tiny.LABELS.index(label) for _, some in texts.values() for label in some]
    handbook = (ROOT / "docs" / "models.md").read_text()
    program = "\n".join([*PYTHON.findall(handbook), MORE])
    told = asked(stack, program, json.dumps([list(versions), every, wanted]), home=tmp_path)
    for number, version in versions.items():
        said = told[f"v{number}"]
        assert said["apart"] < 1e-5
        assert said["most"] > 0.1
        rows = zip(said["answers"], wanted, said["losses"], strict=True)
        for name, (some, _) in texts.items():
            own = [next(rows) for _ in some]
            (measured,) = [
                row
                for row in stack.ada.all("/evaluations", run=str(run))
                if row["version"] == version and row["organisation_name"] == f"{name.title()} & Co"
            ]
            assert sum(answer == label for answer, label, _ in own) == measured["correct"]
            assert sum(loss for *_, loss in own) == pytest.approx(measured["loss_sum"], abs=1e-4)


def test_every_version_is_signed_once_its_evaluation_has_ended(
    stack: Stack, versions: dict[int, str]
) -> None:
    def signed(version: str) -> bool:
        found = stack.ada.get(f"/versions/{version}")
        return {"README.md", "lineage.json", "model.sig"} <= {f["path"] for f in found["files"]}

    for version in versions.values():
        wait_until(lambda version=version: signed(version), what="nobody signs it")
        commits = stack.ada.get(f"/versions/{version}")["commits"]
        assert [commit["reason"] for commit in commits] == ["published", "evaluated"]
    assert len(stack.ada.all("/model-keys")) == 1


def test_a_stranger_s_token_gets_what_the_real_hub_gives(
    stack: Stack, versions: dict[int, str], tmp_path: Path
) -> None:
    assert versions
    assert asked(stack, STRANGER, home=tmp_path, person="carol") == [404] * 8 + ["config.json"]


def test_a_cancelled_run_stops_its_agents_in_mid_training(stack: Stack) -> None:
    run = stack.start_run(
        plan(training={"max_steps": None, "epochs": 100.0}, task={"max_tokens": 8})
    )
    wait_until(lambda: steps(stack, run) > 1, what="nobody trains")
    cancelled = time.monotonic()
    assert stack.ada.post(f"/runs/{run}/cancel", {"reason": "enough"})["state"] == "cancelled"
    wait_until(lambda: not any(stack.doings(name) for name in ROWS), what="an agent goes on")
    took = time.monotonic() - cancelled
    assert took < 10, took  # a heartbeat is half a second, a step some milliseconds
    assert {task["state"] for task in stack.ada.all("/tasks", run=str(run))} == {"cancelled"}
    assert f"{run}" not in json.dumps([u["run"] for u in stack.ada.all("/updates", run=str(run))])


def test_a_round_closes_without_an_agent_that_fell_silent(stack: Stack) -> None:
    impatient = plan(count=1, every="never", rounds={"attempts": 2})
    run = stack.start_run(impatient, "ada", "blaise", "grace")
    for _ in range(2):
        wait_until(lambda: lease(stack).get("run") == str(run), every=0.3, what="no task for her")
    assert stack.wait_for_end(run) == "completed"
    (closed,) = stack.ada.all("/rounds", run=str(run))
    why = "Grace & Co could not do it (its agent fell silent)"
    assert closed["summary"] == f"Closed with 2 of 3: {why}."
    outcomes = {
        f["organisation"]: f["outcome"] for f in stack.ada.all("/contributions", run=str(run))
    }
    assert outcomes["Grace & Co"] == "missed"
    history = [e["kind"] for e in stack.ada.all("/events", run=str(run))]
    assert history.count("task.leased") == 4
    assert history.count("task.failed") == 1


def lease(stack: Stack) -> dict[str, object]:
    """Ask for work as Grace's agent, and never speak of it again."""
    asked = {"agent_version": "0", "federations": [stack.facts["slug"]]}
    answer = stack.grace.post("leases", asked)
    return dict(answer.json()) if answer.status_code == 200 else {}


def steps(stack: Stack, run: UUID) -> int:
    """How far the slower of the agents has told that it is."""
    tasks = stack.ada.all("/tasks", run=str(run))
    return min((task["progress"].get("step", 0) for task in tasks), default=0)
