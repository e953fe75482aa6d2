"""The updates of a round, checked against the adapter they started from and open for reading."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import fsum, isfinite
from pathlib import Path

from federation.layout import (
    A_SUFFIX,
    B_SUFFIX,
    Layout,
    LayoutRefused,
    check_layout,
    expected_shapes,
    lora_factor,
    modules_of,
    ranks_of,
    read_layout,
)
from federation.strategies import AggregationRefused
from federation.tensors import TensorFile

MAGNITUDE = ".lora_magnitude_vector"  # of DoRA; one value for each output, averaged


@dataclass(frozen=True, slots=True)
class WeightedUpdate:
    """An accepted update: its file, its weight (examples), the rank it was trained at."""

    path: Path
    weight: float
    rank: int
    digest: str


@dataclass(frozen=True, slots=True)
class Cohort:
    """Open files of a round. Updates, files and shares are in the order of the digests."""

    start: TensorFile
    updates: tuple[WeightedUpdate, ...]
    files: tuple[TensorFile, ...]
    shares: tuple[float, ...]  # weights over their sum


def open_cohort(files: ExitStack, start: Path, updates: Sequence[WeightedUpdate]) -> Cohort:
    """Check every file's layout and open it within `files`; raises AggregationRefused."""
    _check_updates(updates)
    ordered = tuple(sorted(updates, key=lambda update: (update.digest, update.weight)))
    base = files.enter_context(TensorFile(start))
    _check_start(base.layout)
    opened = tuple(files.enter_context(_checked(base.layout, update)) for update in ordered)
    total = fsum(update.weight for update in ordered)
    return Cohort(base, ordered, opened, tuple(update.weight / total for update in ordered))


def _check_updates(updates: Sequence[WeightedUpdate]) -> None:
    if not updates:
        raise AggregationRefused("no_updates", "there is nothing to aggregate")
    if any(update.rank < 1 for update in updates):
        raise AggregationRefused("rank_zero", "ranks begin at 1")
    weights = [update.weight for update in updates]
    if not all(isfinite(weight) and weight >= 0 for weight in weights) or sum(weights) <= 0:
        raise AggregationRefused("weights", "weights are at least 0, and not all of them 0")


def _check_start(layout: Layout) -> None:
    """LoRA pairs of one rank, and tensors that are no factors."""
    for name in layout.tensors:
        if ".lora_" in name and lora_factor(name) is None and not name.endswith(MAGNITUDE):
            raise AggregationRefused("unsupported_adapter", f"{name} is no plain LoRA factor")
    whole = {f"{module}{end}" for module in modules_of(layout) for end in (A_SUFFIX, B_SUFFIX)}
    if missing := whole - layout.tensors.keys():
        raise AggregationRefused("missing_module", f"there is no {min(missing)}")
    if len(ranks := ranks_of(layout)) > 1:
        raise AggregationRefused("unequal_ranks", f"the start has ranks {sorted(ranks)}")


def _checked(start: Layout, update: WeightedUpdate) -> TensorFile:
    if update.rank > min(ranks_of(start), default=update.rank):
        raise AggregationRefused("rank_too_large", f"{update.digest}: rank {update.rank}")
    try:
        layout = read_layout(update.path)
        check_layout(layout, expected_shapes(start, update.rank))
    except LayoutRefused as error:
        raise AggregationRefused(error.code, f"{update.digest}: {error.detail}") from error
    return TensorFile(update.path, layout)
