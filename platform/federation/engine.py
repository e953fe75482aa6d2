"""The aggregation engine: a round's updates become the next adapter, out of core.

What is aggregated is the change of the model,

    ΔW' = ΔW₀ + Σ pᵢ (s·BᵢAᵢ − s·cut_rᵢ(B₀A₀)),    pᵢ = weightᵢ / Σ weight,

where cut_r keeps the leading r components, those that the participation started from. Tensors that
are no LoRA factors move by Σ pᵢ (xᵢ − x₀). Modules are walked one by one, plain tensors in blocks:
memory holds a few of the largest pair, and does not grow with the number of updates or modules.

The same inputs give the same bytes on the same kind of processor, in whatever order they come and
whatever number of threads torch has: updates are sorted by digest, sums run in float64 in a fixed
order, and one thread does the work.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from math import isfinite, sqrt
from pathlib import Path

import torch

from federation.cohort import WeightedUpdate, open_cohort
from federation.strategies import AggregationRefused, configured
from federation.transforms import NormClip
from federation.walk import Recipe, Walk, norm_of_change

__all__ = ["AggregationRefused", "AggregationReport", "WeightedUpdate", "aggregate", "change_norm"]


@dataclass(frozen=True, slots=True)
class AggregationReport:
    """What the engine did.

    `digest` names the written bytes. `relative_error` is ‖ΔW' − exact ΔW'‖ / ‖exact ΔW'‖ over all
    modules, where clipping counts as exact; `discarded_energy` the share of the squared singular
    values cut away; `ranks` the components in use by module; `norms` how far each update moved the
    model, by its digest; `bound` the norm bound in force; `clipped` whom it scaled down.
    """

    digest: str
    relative_error: float
    discarded_energy: float
    ranks: dict[str, int]
    norms: dict[str, float]
    bound: float | None
    clipped: tuple[str, ...]
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """The report as JSON takes it."""
        return {**asdict(self), "clipped": list(self.clipped)}


def aggregate(
    *,
    start: Path,
    updates: Sequence[WeightedUpdate],
    strategy: str,
    scale: float,
    rank: int,
    energy: float,
    clip: float | None,
    target: Path,
) -> AggregationReport:
    """Write the adapter that follows from `start` and its updates to `target`.

    `scale` is the LoRA scale s, one for all; `rank` is the result's. Files are checked against the
    layout of `start`; their digests are taken as given. One walk yields norms and result together;
    a second one follows only where a norm exceeds the bound. Called again, it writes the same
    bytes. Raises AggregationRefused, and then leaves no usable target.
    """
    began = time.perf_counter()
    _check_request(scale, rank)
    recipe, clipping = Recipe(configured(strategy, energy=energy), scale, rank), NormClip(clip)
    with _one_thread(), ExitStack() as files:
        cohort = open_cohort(files, start, updates)
        walk = Walk(cohort, recipe, cohort.shares)
        digest = walk.write(target)
        norms, factors = walk.norms, clipping.factors(walk.norms)
        if min(factors) < 1.0:
            walk = Walk(
                cohort, recipe, [s * f for s, f in zip(cohort.shares, factors, strict=True)]
            )
            digest = walk.write(target)
    names = [update.digest for update in cohort.updates]
    return AggregationReport(
        digest=digest,
        relative_error=sqrt(_share(walk.error, walk.ideal)),
        discarded_energy=_share(walk.discarded, walk.ideal),
        ranks=walk.ranks,
        norms=dict(zip(names, norms, strict=True)),
        bound=clipping.limit(norms),
        clipped=tuple(n for n, factor in zip(names, factors, strict=True) if factor < 1.0),
        seconds=time.perf_counter() - began,
    )


def change_norm(*, start: Path, update: Path, rank: int, scale: float) -> float:
    """How far an update trained at `rank` moves the model: the same figure as in `norms`.

    Raises AggregationRefused where the update does not fit `start` or holds NaN or infinity.
    """
    with _one_thread(), ExitStack() as files:
        cohort = open_cohort(files, start, [WeightedUpdate(update, 1.0, rank, "the update")])
        moved = norm_of_change(cohort.start, cohort.files[0], scale)
    if not isfinite(moved):
        raise AggregationRefused("non_finite", "the update holds NaN or infinity")
    return moved


def _check_request(scale: float, rank: int) -> None:
    if rank < 1:
        raise AggregationRefused("rank_zero", "the rank of an adapter is at least 1")
    if not (isfinite(scale) and scale > 0):
        raise AggregationRefused("scale", f"{scale} is no LoRA scale")


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


@contextmanager
def _one_thread() -> Iterator[None]:
    """LAPACK and BLAS round differently with every number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
