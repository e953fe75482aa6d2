"""What an agent remembers of its own gradients, and what it does where it has lost that."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
import torch
from safetensors.torch import load_file, save

from agent.coding import encode, trained_file
from agent.controlling import Memory, memory_of
from agent.errors import TaskFailed
from agent.home import Home
from agent.journal import Journal
from agent.tasks import Work
from federation.controls import control_name
from federation.plan import Plan, canonical
from federation.protocol import CONTROL_LOST, UpdateStatement
from federation.tensors import cut_rank, sha256_of, write_adapter
from tests.agent import tiny
from tests.agent.conftest import training
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place

RATE, HEAD_RATE, STEPS = 0.5, 0.25, 4
NAMED_NOWHERE = "0" * 64


def corrected(codec: str = "fp32", **settings: object) -> Plan:
    document = tiny.plan(optimiser="sgd", learning_rate=RATE, head_learning_rate=HEAD_RATE)
    parts = {
        "adapter": {**document.model_dump(mode="json")["adapter"], "rank": 2},
        "aggregation": {"strategy": "fedavg"},
        "server": {"optimiser": "scaffold"},
        "transfer": {"codec": codec},
    }
    return Plan.model_validate({**document.model_dump(mode="json"), **parts, **settings})


def digest_of(statement: UpdateStatement) -> str:
    return sha256(canonical(statement.model_dump(mode="json"))).hexdigest()


@pytest.fixture
def start(adapter: bytes, tmp_path: Path) -> Path:
    """Two components, as the plan has them."""
    (tmp_path / "full").write_bytes(adapter)
    cut_rank(tmp_path / "full", 2, tmp_path / "start")
    return tmp_path / "start"


class Site:
    """An agent in the rounds of a run, whose training is one addition."""

    def __init__(self, hub: FakeHub, home: Home, start: Path) -> None:
        self.hub, self.home, self.start = hub, home, start
        self.run = UUID(int=1)
        self.plan = corrected()

    def lease(self, control: bytes | None = None, after: str | None = None) -> Memory:
        told: dict[str, object] = {"control_after": after}
        if control is not None:
            told["control"] = {"sha256": self.hub.put(control), "size_bytes": len(control)}
        spec = training(self.hub, self.start.read_bytes(), self.plan, **told)
        entry = Journal(self.home.tasks).open(self.hub.offer(spec, run=self.run).offer)
        memory = memory_of(Work(self.home, entry, "cpu"), entry.offer.spec, self.start)
        assert memory
        return memory

    def train(self, memory: Memory, by: float = 0.01) -> str:
        """Move all weights; returns the digest of what is said about it."""
        entry = memory.entry
        moved = {name: value + by for name, value in load_file(self.start).items()}
        write_adapter(trained_file(entry), moved.items())
        encode(self.home, entry, entry.offer.spec, self.start)
        facts = {"task": entry.offer.id, "update_sha256": sha256_of(entry.update_file)}
        statement = UpdateStatement.model_construct(steps=STEPS, **facts)
        memory.keep(statement)
        return digest_of(statement)

    def kept(self, statement: str) -> Path:
        return self.home.folder / "controls" / str(self.run) / f"{statement}.safetensors"

    def server(self, value: float) -> bytes:
        """A control variate of the server, the same everywhere."""
        tensors = load_file(self.start).items()
        return save({control_name(name): torch.full_like(t, value) for name, t in tensors})


@pytest.fixture
def site(quiet_hub: FakeHub, home: Home, start: Path) -> Site:
    return Site(quiet_hub, home, start)


def values_of(path: Path) -> dict[str, set[float]]:
    """The different values of each tensor."""
    return {n: {round(v, 5) for v in t.flatten().tolist()} for n, t in load_file(path).items()}


def test_a_first_round_is_corrected_by_nothing_and_remembered(site: Site) -> None:
    memory = site.lease()
    assert memory.correction() is None
    assert not memory.is_lost
    found = values_of(site.kept(site.train(memory, by=-0.1)))
    for name, values in found.items():  # (x − y)/(K·η), at the rate of factors or head
        rate = HEAD_RATE if "classifier" in name else RATE
        assert values == {round(0.1 / (STEPS * rate), 5)}


def test_the_next_round_is_corrected_by_what_it_was_told_and_what_it_remembers(site: Site) -> None:
    first = site.train(site.lease(), by=-0.1)
    memory = site.lease(site.server(0.3), after=first)
    correction = memory.correction()
    assert correction
    own = values_of(site.kept(first))
    for name, values in values_of(correction).items():
        (before,) = own[control_name(name)]
        assert values == {round(0.3 - before, 5)}
    second = values_of(site.kept(site.train(memory, by=-0.2)))
    for name, values in second.items():
        (before,) = own[name]
        rate = HEAD_RATE if "classifier" in name else RATE
        assert values == {round(before - 0.3 + 0.2 / (STEPS * rate), 5)}


def test_a_task_that_is_begun_again_makes_the_same_again(site: Site) -> None:
    first = site.train(site.lease())
    memory = site.lease(site.server(0.3), after=first)
    made = [(site.train(memory), memory.correction().read_bytes()) for _ in range(2)]
    kept = site.kept(made[0][0]).read_bytes()
    again = memory_of(Work(site.home, memory.entry, "cpu"), memory.spec, site.start)
    assert (site.train(again), again.correction().read_bytes()) == made[0] == made[1]
    assert site.kept(made[0][0]).read_bytes() == kept


def test_an_update_that_did_not_count_changes_nothing(site: Site) -> None:
    first = site.train(site.lease())
    before = site.lease(site.server(0.3), after=first)
    expected = before.correction().read_bytes()
    site.train(before, by=5.0)  # which the hub did not take
    assert site.lease(site.server(0.3), after=first).correction().read_bytes() == expected


def test_a_run_that_goes_on_from_another_finds_what_was_then(site: Site) -> None:
    first = site.train(site.lease())
    expected = site.lease(site.server(0.3), after=first).correction().read_bytes()
    site.run = UUID(int=2)
    going_on = site.lease(site.server(0.3), after=first)
    assert going_on.correction().read_bytes() == expected


@pytest.mark.parametrize("damage", [None, b"torn", "other"])
def test_what_is_lost_is_said_and_done_without(site: Site, damage: object) -> None:
    first = site.train(site.lease())
    file = site.kept(first)
    match damage:
        case None:
            file.unlink()
        case bytes():
            file.write_bytes(damage)
        case _:
            write_adapter(file, {"of another adapter": torch.zeros(2)}.items())
    memory = site.lease(site.server(0.3), after=first)
    assert memory.is_lost
    assert memory.correction() is None


def test_who_comes_later_begins_with_none_of_its_own(site: Site) -> None:
    memory = site.lease(site.server(0.3))
    assert not memory.is_lost
    assert {v for values in values_of(memory.correction()).values() for v in values} == {0.3}


def test_what_the_hub_sends_has_to_fit(site: Site) -> None:
    with pytest.raises(TaskFailed, match="missing_tensor"):
        site.lease(save({control_name("other"): torch.zeros(2)}))
    with pytest.raises(TaskFailed, match="non_finite"):
        site.lease(site.server(float("nan")))


def test_it_is_of_the_update_as_it_was_sent(site: Site) -> None:
    site.plan = corrected("int8")
    memory = site.lease()
    sent = site.train(memory, by=-0.1)
    factors = {
        round(v, 3)
        for name, values in values_of(site.kept(sent)).items()
        if "lora_" in name
        for v in values
    }
    assert factors == {round(0.1 / (STEPS * RATE), 3)}


def test_of_many_rounds_and_runs_the_latest_are_kept(site: Site) -> None:
    for number in range(6):
        last = site.train(site.lease(), by=0.01 * (number + 1))
    assert len(list(site.kept(last).parent.iterdir())) == 4
    assert site.kept(last).exists()
    for number in range(2, 20):
        site.run = UUID(int=number)
        last = site.train(site.lease())
    assert len(list((site.home.folder / "controls").iterdir())) == 16
    assert site.kept(last).exists()


def test_an_agent_trains_with_it_from_round_to_round(
    hub: FakeHub, place: Place, start: Path
) -> None:
    plan, content, run = corrected(), start.read_bytes(), UUID(int=77)
    first = hub.offer(training(hub, content, plan), run=run)
    hub.wait_for(lambda: first.receipt)
    digest = digest_of(first.updates[0].statement)
    own = place.home.folder / "controls" / str(run) / f"{digest}.safetensors"
    ref = {"sha256": hub.put(own.read_bytes()), "size_bytes": own.stat().st_size}
    # All sites were like this one: c = cᵢ, which corrects nothing.
    second = hub.offer(training(hub, content, plan, control=ref, control_after=digest), run=run)
    lost = hub.offer(training(hub, content, plan, control=ref, control_after=NAMED_NOWHERE))
    alone = hub.offer(training(hub, content, plan, control=ref))
    hub.wait_for(lambda: second.receipt and lost.receipt and alone.receipt)
    place.wait_until_idle()
    said = [task.updates[0].statement for task in (first, second, lost, alone)]
    assert said[0].update_sha256 == said[1].update_sha256 == said[2].update_sha256
    assert said[3].update_sha256 != said[0].update_sha256
    assert [CONTROL_LOST in one.metrics for one in said] == [False, False, True, False]
