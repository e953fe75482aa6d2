"""Two processes that share a training give what one alone gives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from federation.modelling import ModellingRefused, Seat
from tests.federation.modelling import pair
from tests.federation.modelling.worlds import trained

ROOTS = [str(Path(__file__).parents[3] / name) for name in ("platform", "workers", ".")]
# Two add up gradients in another order: 1e-7 of them in fp32. AdamW divides each gradient by its
# own size, so the little ones' rounding grows; the weights move by 0.1 here, and 3e-6 was seen.
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


@pytest.fixture(scope="module")
def shown(encoder: Path, causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have left in a folder."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "encoder").symlink_to(encoder)
    (folder / "causal").symlink_to(causal)
    pair.prepare(folder)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS), "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        halves = [stack.enter_context(half(folder, index, env)) for index in (0, 1)]
        ended = [process.wait(timeout=120) for process in halves]
    assert ended == [0, 0], (folder / "0.log").read_text()[-3000:]
    return folder


@contextmanager
def half(folder: Path, index: int, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", pair.__name__, str(folder), str(index)]
    with (folder / f"{index}.log").open("wb") as log:
        process = subprocess.Popen(argv, env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", [name for name in pair.PLANS if "dropout" not in name])
def test_two_processes_give_the_weights_and_the_facts_of_one(shown, name, tmp_path):
    world = pair.world(name, shown)
    examples = pair.examples_of(world.plan)
    correction = pair.correction_of(name, shown)
    done = trained(
        world.base,
        world.plan,
        world.start,
        tmp_path / "one",
        examples=examples,
        correction=correction,
    )
    one, two, start = (
        load_file(path) for path in (tmp_path / "one", shown / f"{name}.two", world.start)
    )
    assert max((one[key] - start[key]).abs().max() for key in one) > 100 * TOLERANCE["atol"]
    torch.testing.assert_close(two, one, **TOLERANCE)
    facts = eval((shown / f"{name}.facts").read_text(), vars(sys.modules["federation.modelling"]))
    assert facts.loss == pytest.approx(done.loss, rel=1e-5)
    assert replace(facts, loss=0) == replace(done, loss=0, device_seconds=0)


@pytest.mark.parametrize("name", pair.GO_ON)
def test_two_processes_go_on_from_a_checkpoint_to_the_same_bytes(shown, name):
    assert (shown / f"{name}.resumed").read_bytes() == (shown / f"{name}.two").read_bytes()
    begun = {(shown / f"{name}.{index}.from").read_text() for index in (0, 1)}
    assert begun == {str(pair.STEP - pair.STEP % 2)}


def test_a_base_in_four_bits_is_not_spread_over_devices(shown, tmp_path):
    world = pair.world("shards", shown)
    training = world.plan.training.model_copy(update={"base_weights": "nf4"})
    plan = world.plan.model_copy(update={"training": training})
    seat = Seat(0, 2, tmp_path / "meeting", is_sharded=True)
    with pytest.raises(ModellingRefused, match="sharding_unsupported"):
        trained(world.base, plan, world.start, tmp_path / "none", seat=seat)
