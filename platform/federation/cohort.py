"""The updates of a round, checked against the adapter they started from and open for reading."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from math import fsum, isfinite, prod
from pathlib import Path

from federation.coded import PLAIN
from federation.layout import (
    A_SUFFIX,
    B_SUFFIX,
    Chosen,
    Layout,
    LayoutRefused,
    check_layout,
    everything,
    expected_shapes,
    is_residual,
    lora_factor,
    modules_of,
    ranks_of,
)
from federation.sources import Source, open_update
from federation.strategies import AggregationRefused
from federation.tensors import TensorFile

MAGNITUDE = ".lora_magnitude_vector"  # of DoRA; one value for each output, averaged


@dataclass(frozen=True, slots=True)
class WeightedUpdate:
    """An accepted update: its file, its weight (examples), the rank it was trained at.

    `codec`: the form it came in. `start`: the adapter it was trained from, where that is not the
    round's. `norm`: how far it moves the model, where that was measured (`engine.change_norm`).
    `is_root`: it was trained on data that all trust, and only serves to judge the others. `steps`:
    how many it took to train, where that counts. `is_anew`: it was trained without the control
    variate that its site should have had.
    """

    path: Path
    weight: float
    rank: int
    digest: str
    codec: str = PLAIN
    start: Path | None = None
    norm: float | None = None
    is_root: bool = False
    steps: int = 1
    is_anew: bool = False


@dataclass(frozen=True, slots=True)
class Cohort:
    """Open files of a round. Updates, files, starts and shares are in the order of the digests.

    `starts`: what each update was trained from; mostly `start` itself. `travels`: which tensors
    the updates hold; of the others theirs is the start's.
    """

    start: TensorFile
    updates: tuple[WeightedUpdate, ...]
    files: tuple[Source, ...]
    starts: tuple[TensorFile, ...]
    shares: tuple[float, ...]  # weights over their sum
    travels: Chosen = everything

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(update.digest for update in self.updates)

    @property
    def root(self) -> int | None:
        """Which update is the root of trust, if any."""
        found = (place for place, update in enumerate(self.updates) if update.is_root)
        return next(found, None)

    def is_stale(self, one: int) -> bool:
        """Whether an update was trained from something else than the round's start."""
        return self.starts[one] is not self.start

    def at(self, places: Sequence[int]) -> Cohort:
        """Some of its updates, which share the open files."""
        return replace(
            self,
            updates=tuple(self.updates[place] for place in places),
            files=tuple(self.files[place] for place in places),
            starts=tuple(self.starts[place] for place in places),
            shares=tuple(self.shares[place] for place in places),
        )

    def size_of(self, module: str) -> tuple[int, int]:
        """(out, in) of a module, a convolution's as the matrix it stands for."""
        tensors = self.start.layout.tensors
        return tensors[module + B_SUFFIX].shape[0], prod(tensors[module + A_SUFFIX].shape[1:])


def open_cohort(
    files: ExitStack,
    start: Path,
    updates: Sequence[WeightedUpdate],
    travels: Chosen = everything,
) -> Cohort:
    """Check every file's layout and open it within `files`; raises AggregationRefused."""
    _check_updates(updates)
    ordered = tuple(sorted(updates, key=lambda update: (update.digest, update.weight)))
    base = files.enter_context(TensorFile(start))
    _check_start(base.layout)
    starts = tuple(_start_of(files, base, start, update) for update in ordered)
    opened = tuple(
        files.enter_context(closing(_checked(own, update, travels)))
        for own, update in zip(starts, ordered, strict=True)
    )
    counts = [0.0 if update.is_root else update.weight for update in ordered]
    total = fsum(counts)
    shares = tuple(count / total for count in counts)
    return Cohort(base, ordered, opened, starts, shares, travels)


def _start_of(
    files: ExitStack, base: TensorFile, start: Path, update: WeightedUpdate
) -> TensorFile:
    """What an update was trained from, which is of the same layout as the round's start."""
    if update.start is None or update.start == start:
        return base
    own = files.enter_context(TensorFile(update.start))
    _check_start(own.layout)
    rank = max(ranks_of(base.layout), default=1)
    tensors = {name: one for name, one in own.layout.tensors.items() if not is_residual(name)}
    expected = expected_shapes(base.layout, rank, lambda name: not is_residual(name))
    try:
        check_layout(replace(own.layout, tensors=tensors), expected)
    except LayoutRefused as error:
        raise AggregationRefused(error.code, f"an earlier start: {error.detail}") from error
    return own


def _check_updates(updates: Sequence[WeightedUpdate]) -> None:
    if not updates or all(update.is_root for update in updates):
        raise AggregationRefused("no_updates", "there is nothing to aggregate")
    if any(update.rank < 1 for update in updates):
        raise AggregationRefused("rank_zero", "ranks begin at 1")
    weights = [update.weight for update in updates if not update.is_root]
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


def _checked(start: TensorFile, update: WeightedUpdate, travels: Chosen) -> Source:
    if update.rank > min(ranks_of(start.layout), default=update.rank):
        raise AggregationRefused("rank_too_large", f"{update.digest}: rank {update.rank}")
    try:
        return open_update(
            update.path, start=start, rank=update.rank, codec=update.codec, travels=travels
        )
    except LayoutRefused as error:
        raise AggregationRefused(error.code, f"{update.digest}: {error.detail}") from error
