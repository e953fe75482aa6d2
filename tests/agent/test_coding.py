"""What leaves the agent when the plan names a codec, and what stays for the next round."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from safetensors.torch import load_file

from agent.coding import encode, keep_residual, trained_file
from agent.errors import TaskFailed
from agent.home import Home
from agent.journal import Entry, Journal
from federation.coded import coded_bytes
from federation.layout import expected_shapes, read_layout
from federation.plan import Plan
from federation.tensors import cut_rank, write_adapter
from tests.agent import tiny
from tests.agent.conftest import training
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place


def coded(codec: str, strategy: str = "fedavg") -> Plan:
    document = tiny.plan().model_dump(mode="json")
    more = {"transfer": {"codec": codec}, "aggregation": {"strategy": strategy}}
    return Plan.model_validate({**document, **more})


@pytest.fixture
def start(adapter: bytes, tmp_path: Path) -> Path:
    (tmp_path / "full").write_bytes(adapter)
    cut_rank(tmp_path / "full", 2, tmp_path / "start")
    return tmp_path / "start"


class Site:
    """An agent that trains for one run, over and over."""

    def __init__(self, hub: FakeHub, home: Home, start: Path) -> None:
        self.hub, self.home, self.start = hub, home, start

    def lease(self, plan: Plan, run: UUID | None = None) -> Entry:
        task = self.hub.offer(training(self.hub, b"start", plan), **({"run": run} if run else {}))
        return Journal(self.home.tasks).open(task.offer)

    def train(self, entry: Entry, *, by: float = 0.01) -> bytes:
        """Move all weights by as much as their place says; the same every time."""
        moved = {n: t + by * (t.flatten().cos().view(t.shape) + 1) for n, t in self.weights.items()}
        write_adapter(trained_file(entry), moved.items())
        encode(self.home, entry, entry.offer.spec, self.start)
        return entry.update_file.read_bytes()

    @property
    def weights(self) -> dict[str, object]:
        return load_file(self.start)

    @property
    def residuals(self) -> set[str]:
        return {path.stem for path in (self.home.folder / "residuals").glob("*")}


@pytest.fixture
def site(quiet_hub: FakeHub, home: Home, start: Path) -> Site:
    return Site(quiet_hub, home, start)


@pytest.mark.parametrize("codec", ["bf16", "int8", "nf4"])
def test_what_is_sent_has_the_length_of_the_formula(site: Site, codec: str) -> None:
    sent = site.train(site.lease(coded(codec)))
    assert len(sent) == coded_bytes(expected_shapes(read_layout(site.start), 2), codec)


def test_without_a_codec_the_trained_file_is_what_is_sent(site: Site) -> None:
    entry = site.lease(tiny.plan())
    site.train(entry)
    assert trained_file(entry) == entry.update_file
    assert not site.residuals


def test_a_task_that_is_begun_again_gives_the_same_bytes(site: Site) -> None:
    entry = site.lease(coded("nf4"))
    assert site.train(entry) == site.train(entry)


def test_what_was_lost_goes_out_with_the_runs_next_update(site: Site) -> None:
    first = site.lease(coded("nf4"))
    sent = site.train(first)
    keep_residual(site.home, first)
    keep_residual(site.home, first)  # the receipt came twice
    assert site.train(site.lease(coded("nf4"), first.offer.run)) != sent
    assert site.train(site.lease(coded("nf4"))) == sent  # another run has lost nothing yet
    assert site.residuals == {str(first.offer.run)}


def test_what_the_hub_did_not_take_leaves_nothing_behind(site: Site) -> None:
    first = site.lease(coded("nf4"))
    sent = site.train(first)
    first.close()
    assert site.train(site.lease(coded("nf4"), first.offer.run)) == sent


def test_of_many_runs_the_latest_are_remembered(site: Site) -> None:
    for _ in range(20):
        entry = site.lease(coded("nf4"))
        site.train(entry)
        keep_residual(site.home, entry)
    assert len(site.residuals) == 16
    assert str(entry.offer.run) in site.residuals


def test_weights_that_are_not_finite_are_not_sent(site: Site) -> None:
    with pytest.raises(TaskFailed, match="non_finite"):
        site.train(site.lease(coded("int8")), by=float("inf"))


def test_an_agent_codes_what_it_has_trained(
    hub: FakeHub, place: Place, adapter: bytes, start: Path
) -> None:
    task = hub.offer(training(hub, adapter, coded("nf4")))
    hub.wait_for(lambda: task.receipt)
    place.wait_until_idle()
    (upload,) = [upload for upload in hub.uploads.values() if upload.task == task.offer.id]
    assert upload.sha256 == task.updates[0].statement.update_sha256
    assert upload.size_bytes == coded_bytes(expected_shapes(read_layout(start), 2), "nf4")
    assert (place.home.folder / "residuals" / f"{task.offer.run}.safetensors").exists()
