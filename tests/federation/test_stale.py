"""Updates that were trained from an earlier start count with their change against their own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from federation.codings import encode_update
from federation.engine import AggregationRefused, evidence_of
from federation.optimisers import optimisers
from federation.pairs import Pair
from federation.registry import configured
from federation.tensors import sha256_of, write_adapter
from tests.federation.adapters import HEAD, MODULE, Workshop, adapter
from tests.federation.reference import distance
from tests.strategies import moved, normal, random_pair, seeded

RANK = 3


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


class Case:
    """Two updates from the round's start, one from an earlier one; weights 1, 2 and 3."""

    def __init__(self, workshop: Workshop, seed: int = 1) -> None:
        generator = seeded(seed)
        self.earlier = workshop.folder / "earlier"
        self.old = self.drawn(generator, random_pair(generator, 7, 6, RANK))
        self.start = self.drawn(generator, moved(generator, self.pair(self.old)))
        write_adapter(self.earlier, self.old.items())
        workshop.begin(self.start)
        self.updates = []
        for weight, begun in ((1, self.start), (2, self.start), (3, self.old)):
            tensors = self.drawn(generator, moved(generator, self.pair(begun)))
            workshop.add(tensors, weight=weight, rank=RANK)
            self.updates.append((weight / 6, begun, tensors))
        workshop.updates[2] = replace(workshop.updates[2], start=self.earlier)

    def drawn(self, generator: torch.Generator, pair: Pair) -> dict[str, torch.Tensor]:
        tensors = adapter(pair, head=normal(generator, 4, 5))
        return {name: tensor.float() for name, tensor in tensors.items()}

    def pair(self, tensors: dict[str, torch.Tensor]) -> Pair:
        return Pair(*(tensors[f"{MODULE}.lora_{f}.weight"].double() for f in "BA"))

    def moved_by(self, value) -> torch.Tensor:
        """The reference: start + Σ w (update − its own start), of any function of an adapter."""
        return value(self.start) + sum(
            weight * (value(tensors) - value(begun)) for weight, begun, tensors in self.updates
        )

    def dense(self, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.pair(tensors).dense()


def test_a_stale_change_is_stacked_against_its_own_start(workshop):
    case = Case(workshop)
    report = workshop.aggregate(rank=6, clip=1e9)
    assert distance(workshop.result_pair().dense(), case.moved_by(case.dense)) < 1e-5
    assert report.relative_error < 1e-6
    torch.testing.assert_close(
        workshop.result()[HEAD], case.moved_by(lambda t: t[HEAD]), rtol=1e-5, atol=1e-5
    )


def test_stale_factors_are_averaged_as_changes(workshop):
    case = Case(workshop)
    workshop.aggregate("fedavg", rank=RANK, clip=1e9)
    for name, value in workshop.result().items():
        expected = case.moved_by(lambda tensors, name=name: tensors[name].double())
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strategy", ["fedavg", "stack_svd"])
def test_momentum_goes_along_stale_changes(workshop, strategy):
    case = Case(workshop)
    optimiser = configured(optimisers, "fedavgm", lr=0.5)
    workshop.aggregate(
        strategy, rank=6 if strategy == "stack_svd" else RANK, clip=1e9, optimiser=optimiser,
        state_target=workshop.folder / "state",
    )  # fmt: skip
    half = (case.moved_by(lambda t: t[HEAD]) + case.start[HEAD]) / 2
    torch.testing.assert_close(workshop.result()[HEAD], half, rtol=1e-5, atol=1e-5)
    if strategy == "stack_svd":
        half = (case.moved_by(case.dense) + case.dense(case.start)) / 2
        assert distance(workshop.result_pair().dense(), half) < 1e-5


def test_evidence_measures_a_stale_change_against_its_own_start(workshop):
    case = Case(workshop)
    evidence = evidence_of(start=workshop.start, updates=workshop.updates, scale=2.0)
    changes = {
        update.digest: torch.cat(
            [
                2.0 * (case.dense(tensors) - case.dense(begun)).flatten(),
                (tensors[HEAD] - begun[HEAD]).double().flatten(),
            ]
        )
        for update, (_, begun, tensors) in zip(workshop.updates, case.updates, strict=True)
    }
    together = torch.stack([changes[digest] for digest in evidence.digests])
    found = torch.tensor(evidence.products, dtype=torch.float64)
    torch.testing.assert_close(found, together @ together.T, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("codec", ["bf16", "int8", "nf4"])
def test_a_coded_stale_update_is_decoded_over_its_own_start(workshop, codec):
    case = Case(workshop)
    plain = workshop.updates[2]
    path = workshop.folder / "coded"
    encode_update(start=case.earlier, update=plain.path, codec=codec, target=path)
    workshop.updates[2] = replace(plain, path=path, digest=sha256_of(path), codec=codec)
    workshop.aggregate(rank=6, clip=1e9)
    bound = {"bf16": 0.01, "int8": 0.03, "nf4": 0.3}[codec]
    assert distance(workshop.result_pair().dense(), case.moved_by(case.dense)) < bound


@pytest.mark.parametrize("strategy", ["fedavg", "stack_svd"])
def test_the_rounds_own_start_named_as_such_is_no_staleness(workshop, strategy):
    Case(workshop)
    workshop.updates = [replace(update, start=None) for update in workshop.updates]
    plain = workshop.aggregate(strategy, rank=RANK)
    workshop.updates = [replace(update, start=workshop.start) for update in workshop.updates]
    assert workshop.aggregate(strategy, rank=RANK).digest == plain.digest


def test_an_earlier_start_of_another_layout_is_refused(workshop):
    case = Case(workshop)
    write_adapter(case.earlier, {HEAD: torch.zeros(4, 5)}.items())
    with pytest.raises(AggregationRefused) as refused:
        workshop.aggregate(rank=RANK)
    assert refused.value.code == "missing_tensor"
