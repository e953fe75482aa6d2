"""Coalitions measured at a site: only sums leave it, and nothing is measured twice."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import torch
from safetensors.torch import load_file

from agent.datasets import found_in, register
from agent.execution import execute
from agent.home import Home
from agent.journal import Entry, Journal
from agent.tasks.value import LABEL
from federation.cohort import WeightedUpdate
from federation.plan import canonical
from federation.protocol_values import ValuesIn
from federation.signatures import verify_bytes
from federation.tensors import sha256_of, write_adapter
from federation.valuation.coalitions import write_game
from tests.agent import tiny
from tests.agent.conftest import common
from tests.agent.fake_hub import FakeHub

VALUATION = UUID(int=7)


@dataclass
class Site:
    hub: FakeHub
    home: Home
    stack: bytes
    updates: list[str]

    def offered(self, **changes: object) -> Entry:
        players = [
            {"id": f"p{number}", "weight": 0.5, "updates": [digest]}
            for number, digest in enumerate(self.updates)
        ]
        spec = {
            "type": "value",
            **common(tiny.plan()),
            "valuation": str(VALUATION),
            "stacked": {"sha256": self.hub.put(self.stack), "size_bytes": len(self.stack)},
            "method": "exact",
            "settings": {},
            "seed": "0" * 64,
            "players": players,
            "clusters": [],
            "examples": 30,
            **changes,
        }
        task = self.hub.offer(spec)
        task.state = "leased"
        return Journal(self.home.tasks).open(task.offer)

    def done(self, **changes: object) -> ValuesIn:
        entry = self.offered(**changes)
        execute(self.home, entry.offer.id, device="cpu")
        assert entry.outcome
        assert entry.outcome.submission, entry.outcome.failure
        return ValuesIn.model_validate(entry.outcome.submission)

    def refused(self, **changes: object) -> str:
        entry = self.offered(**changes)
        execute(self.home, entry.offer.id, device="cpu")
        assert entry.outcome
        assert entry.outcome.failure
        return entry.outcome.failure.code


@pytest.fixture
def site(quiet_hub: FakeHub, home: Home, base: Path, adapter: bytes, tmp_path: Path) -> Site:
    quiet_hub.repositories[tiny.BASE_REPO] = base
    register(home.data_file, "coast", found_in(tiny.make_data(tmp_path / "data", rows=90)))
    start = tmp_path / "start.safetensors"
    start.write_bytes(adapter)
    files = [start, _moved(start, tmp_path / "moved.safetensors")]
    updates = [
        WeightedUpdate(path=path, weight=1.0, rank=4, digest=sha256_of(path), start=start)
        for path in files
    ]
    write_game(start=start, updates=updates, target=tmp_path / "stack")
    stack = (tmp_path / "stack").read_bytes()
    return Site(quiet_hub, home, stack, [update.digest for update in updates])


def _moved(start: Path, target: Path) -> Path:
    dice = torch.Generator().manual_seed(3)
    found = load_file(start)
    moved = {
        name: one + 0.05 * torch.randn(one.shape, generator=dice) for name, one in found.items()
    }
    write_adapter(target, sorted(moved.items()))
    return target


def test_sums_over_bins_leave_the_site_signed(site: Site) -> None:
    said = site.done()
    losses = {one.players: one.losses for one in said.measured}
    assert set(losses) == {(), (0,), (1,), (0, 1)}
    assert losses[0,] == losses[()]  # it changed nothing, to the last bit
    assert losses[0, 1] == losses[1,] != losses[()]
    assert sum(said.statement.counts) == 30
    assert min(said.statement.counts) >= 5
    public = site.hub.keys[said.statement.key_id]
    payload = canonical(said.statement.model_dump(mode="json"))
    verify_bytes(public, LABEL, payload, said.signature)
    measured = [one.model_dump(mode="json") for one in said.measured]
    assert said.statement.measured_sha256 == sha256(canonical(measured)).hexdigest()


def test_what_made_way_goes_on_where_it_was(site: Site) -> None:
    first = site.done().measured
    (kept,) = (site.home.cache / "sums").iterdir()
    lines = kept.read_text().splitlines(keepends=True)
    assert len(lines) == 4
    kept.write_text("".join(lines[:2]) + lines[2][:9] + "\n")
    assert {one.players: one for one in site.done().measured} == {one.players: one for one in first}
    assert len(kept.read_text().splitlines()) == 5


def test_what_cannot_be_measured_is_told_by_its_code(site: Site, tmp_path: Path) -> None:
    assert site.refused(method="of_tomorrow") == "method_unknown"
    register(site.home.data_file, "coast", found_in(tiny.make_data(tmp_path / "few", rows=30)))
    assert site.refused(valuation=str(uuid4())) == "too_few_examples"
