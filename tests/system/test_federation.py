"""A federation from the first task to the model that others load, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest

from tests.agent import tiny
from tests.system.plays import Plays
from tests.system.processes import wait_until
from tests.system.stack import ROOT, ROWS, Stack, plan

pytestmark = pytest.mark.system

LOADED = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForTokenClassification, AutoTokenizer

repo, revision, text = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained("base/tiny")
base = AutoModelForTokenClassification.from_pretrained("base/tiny", num_labels=3)
model = PeftModel.from_pretrained(base, repo, revision=revision).eval()
with torch.inference_mode():
    print(json.dumps(model(**tokenizer([text], return_tensors="pt")).logits[0].tolist()))
"""
MERGED = """
import json, sys, torch
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, AutoTokenizer

folder, adapter, scale, text = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=3).eval()
weights, given = dict(model.named_parameters()), load_file(adapter)
given_text = tokenizer([text], return_tensors="pt")
with torch.inference_mode():
    for name, tensor in given.items():
        place = name.removeprefix("base_model.model.")
        if place.endswith("lora_A.weight"):
            b = given[name.replace("lora_A", "lora_B")]
            weights[place.replace("lora_A.", "")] += float(scale) * b @ tensor
        elif "lora_B" not in place:
            weights[place].copy_(tensor)
    print(json.dumps(model(**given_text).logits[0].tolist()))
"""
SENTENCE = "salt tide harbour wing gravel"


@pytest.fixture(scope="module")
def run(stack: Stack, plays: Plays) -> UUID:
    """A run from a fresh adapter to its end, checked."""
    run = stack.start_run(plan(every="round", seed=20))
    plays.finish(run, "round")
    return run


def test_a_run_leaves_rounds_versions_and_measures(stack: Stack, run: UUID) -> None:
    assert stack.ada.get(f"/runs/{run}")["state"] == "completed"
    rounds = stack.ada.all("/rounds", run=str(run))
    assert [r["summary"] for r in rounds] == ["Closed with 2 of 2."] * 2
    measured = stack.ada.all("/evaluations", run=str(run))
    assert sorted({m["round_number"] for m in measured}) == [0, 1, 2]
    assert {m["examples"] for m in measured} == {rows // 3 for rows in ROWS.values()}


def test_each_organisation_is_credited_with_what_it_gave(stack: Stack, run: UUID) -> None:
    facts = stack.ada.all("/contributions", run=str(run))
    shares = {fact["organisation"]: fact["weight"] for fact in facts}
    assert shares == pytest.approx({"Ada & Co": 0.4, "Blaise & Co": 0.6})
    assert {fact["examples"] for fact in facts} == set(ROWS.values())
    assert all(fact["bytes_up"] > 0 and fact["device_seconds"] > 0 for fact in facts)


def test_an_outsider_sees_nothing_of_it(stack: Stack, run: UUID) -> None:
    (last,) = stack.sql("SELECT adapter_id FROM catalogue_modelversion ORDER BY id DESC LIMIT 1")
    for path in (f"/runs/{run}", f"/blobs/{last['adapter_id']}"):
        assert stack.carol.http.get(path).status_code == 404
    assert stack.carol.all("/versions") == []


def test_the_result_loads_with_stock_libraries(
    stack: Stack, run: UUID, base: Path, tmp_path: Path
) -> None:
    version = stack.ada.get(f"/rounds/{last_round(stack, run)}")["version"]
    found = stack.ada.get(f"/versions/{version}")
    adapter = tmp_path / "adapter.safetensors"
    answer = stack.ada.http.get(f"/versions/{version}/files/adapter_model.safetensors")
    adapter.write_bytes(answer.raise_for_status().content)
    token = stack.facts["people"]["ada"]["token"]
    hub = {"HF_ENDPOINT": f"{stack.url}/hf", "HF_TOKEN": token, "HF_HOME": str(tmp_path)}
    repo = f"{stack.facts['slug']}/adapter"
    loaded = logits(LOADED, repo, f"v{found['number']}", SENTENCE, **hub)
    scale = str(tiny.plan().adapter.alpha / 8)
    merged = logits(MERGED, str(base), str(adapter), scale, SENTENCE, HF_HUB_OFFLINE="1")
    assert loaded == pytest.approx(merged, abs=1e-5)
    assert max(map(abs, loaded)) > 0.1


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


def last_round(stack: Stack, run: UUID) -> str:
    query = "SELECT id FROM runs_round WHERE run_id = %s ORDER BY number DESC LIMIT 1"
    return str(stack.value(query, run))


def steps(stack: Stack, run: UUID) -> int:
    """How far the slower of the agents has told that it is."""
    tasks = stack.ada.all("/tasks", run=str(run))
    return min((task["progress"].get("step", 0) for task in tasks), default=0)


def logits(program: str, *arguments: str, **environment: str) -> list[float]:
    """What a program of its own says, which knows nothing of us."""
    clean = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **environment}
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program, *arguments],
        env=clean,
        cwd=ROOT.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    rows: list[list[float]] = json.loads(ran.stdout)
    return [number for row in rows for number in row]
