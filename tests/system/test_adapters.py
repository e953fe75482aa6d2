"""Other adapters than LoRA, and coded updates, from the first task to what the model card says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from safetensors.torch import load_file

from federation.plan import Plan
from tests.agent import tiny
from tests.system.outsiders import asked, held_out, in_turn
from tests.system.plays import Plays
from tests.system.stack import ROWS, Stack, plan

pytestmark = pytest.mark.system

AVERAGED = {"aggregation": {"strategy": "fedavg"}}
KINDS: dict[str, dict[str, Any]] = {
    "ia3": {
        **AVERAGED,
        "adapter": {"type": "ia3", "targets": ["key", "value"]},
        "transfer": {"codec": "bf16"},
    },
    "prompt_tuning": {**AVERAGED, "adapter": {"type": "prompt_tuning", "virtual_tokens": 4}},
    "int8": {"transfer": {"codec": "int8"}},
    "scaffold": {
        **AVERAGED,
        "server": {"optimiser": "scaffold"},
        "training": {"optimiser": "sgd", "learning_rate": 0.1, "head_learning_rate": 0.5},
        "rounds": {"count": 2},
        "transfer": {"codec": "bf16"},
    },
}
TEXT = '["A text to classify"]'  # in a card's code
SIZE = """
    SELECT max(a.size_bytes) FROM runs_update u JOIN runs_round r ON r.id = u.round_id, catalogue_artifact a
    WHERE r.run_id = %s AND a.sha256 =
"""
REMEMBERED = """
    SELECT v.optimiser_state_id, v.report -> 'control_after' AS named
    FROM runs_round r JOIN catalogue_modelversion v ON v.id = r.version_id
    WHERE r.run_id = %s ORDER BY r.number
"""
ANSWERS = "noted.append(logits.argmax(-1).tolist())"


def document(kind: str) -> dict[str, Any]:
    changed = plan(count=1, training={"epochs": 4.0}, seed=31)
    for section, values in KINDS[kind].items():
        changed[section] = values if "type" in values else {**changed.get(section, {}), **values}
    return Plan.model_validate(changed).model_dump(mode="json")


@pytest.fixture(scope="module")
def runs(stack: Stack, plays: Plays) -> dict[str, UUID]:
    """A run of each kind, to its end, checked."""
    found = {}
    for kind in KINDS:
        found[kind] = stack.start_run(document(kind))
        plays.finish(found[kind], "last")
    return found


@pytest.fixture(scope="module")
def answers(
    stack: Stack, runs: dict[str, UUID], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, list[int]]]:
    """For each kind and organisation, the labels that the result gives to the held-out texts."""
    texts = {name: held_out(stack, name)[0] for name in ROWS}
    everything = repr([text for some in texts.values() for text in some])
    codes = [code_of(stack, run).replace(TEXT, everything) for run in runs.values()]
    said = asked(stack, in_turn(codes, ANSWERS), home=tmp_path_factory.mktemp("hugging-face"))
    found = {}
    for kind, labels in zip(runs, said, strict=True):
        rest = iter(labels)
        found[kind] = {name: [next(rest) for _ in some] for name, some in texts.items()}
        assert list(rest) == []
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ROWS)
def test_loaded_as_its_card_says_it_answers_as_it_did_at_the_sites(
    stack: Stack,
    runs: dict[str, UUID],
    answers: dict[str, dict[str, list[int]]],
    kind: str,
    name: str,
) -> None:
    (measured,) = [
        row["correct"]
        for row in stack.ada.all("/evaluations", run=str(runs[kind]))
        if row["round_number"] and row["organisation_name"] == f"{name.title()} & Co"
    ]
    expected = [tiny.LABELS.index(label) for label in held_out(stack, name)[1]]
    assert sum(a == b for a, b in zip(answers[kind][name], expected, strict=True)) == measured


def test_what_travelled_is_as_small_as_the_codec_says(stack: Stack, runs: dict[str, UUID]) -> None:
    sizes = {
        kind: [stack.value(f"{SIZE} {which}", run) for which in ("u.artifact_id", "r.start_id")]
        for kind, run in runs.items()
    }
    assert sizes["prompt_tuning"][0] == sizes["prompt_tuning"][1]
    assert all(sizes[kind][0] < sizes[kind][1] for kind in ("ia3", "int8"))


def test_the_server_s_control_variate_is_the_mean_of_those_at_the_sites(
    stack: Stack, runs: dict[str, UUID]
) -> None:
    for row in stack.sql(REMEMBERED, runs["scaffold"]):
        state = load_file(stored(stack, row["optimiser_state_id"]))
        found = [
            load_file(path)
            for name in ROWS
            for digest in row["named"].values()
            for path in stack.home(name).folder.glob(f"controls/*/{digest}.safetensors")
        ]
        assert len(found) == len(ROWS)
        for name, value in state.items():
            mean = sum(one[name].double() for one in found) / len(found)
            torch.testing.assert_close(value.double(), mean, rtol=1e-4, atol=1e-6)
        assert any(value.any() for value in state.values())


def stored(stack: Stack, digest: str) -> Path:
    return stack.folder / "hub" / "blobs" / digest[:2] / digest[2:]


def code_of(stack: Stack, run: UUID) -> str:
    """What the card of a run's last version tells people to run, pinned to that version."""
    closed = max(stack.ada.all("/rounds", run=str(run)), key=lambda one: int(one["number"]))
    number = stack.ada.get(f"/versions/{closed['version']}")["number"]
    path = f"/versions/{closed['version']}/files/README.md"
    card = stack.ada.http.get(path).raise_for_status().text
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert TEXT in code
    repo = f'"{stack.facts["slug"]}/adapter"'
    assert f"{repo})" in code
    return str(code).replace(f"{repo})", f'{repo}, revision="v{number}")')
