"""Examples of a probe in bins, so that sums leave a site and no example's own loss does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from math import fsum, isfinite
from typing import Final

from federation.valuation.games import MILLIONTHS, Bin, ValuationRefused

MOST_BINS: Final = 16
FEWEST_BINS: Final = 4
FEWEST_IN_BIN: Final = 5  # examples
FEWEST_EXAMPLES: Final = FEWEST_BINS * FEWEST_IN_BIN
MOST_LOSS: Final = 1e6  # of one example; what is beyond, or no number, counts as this


@lru_cache(maxsize=16)  # every coalition is measured on as many
def places_of(examples: int) -> tuple[tuple[int, ...], ...]:
    """Which examples lie in which bin: as many in each, by the SHA-256 of their places.

    Raises ValuationRefused where bins of at least five would be too few to say anything.
    """
    bins = min(MOST_BINS, examples // FEWEST_IN_BIN)
    if bins < FEWEST_BINS:
        told = f"{examples} examples, and a probe has at least {FEWEST_EXAMPLES}"
        raise ValuationRefused("too_few_examples", told)
    mixed = sorted(range(examples), key=lambda place: sha256(b"%d" % place).digest())
    return tuple(tuple(mixed[number::bins]) for number in range(bins))


def binned(losses: Sequence[float], counts: Sequence[int]) -> tuple[Bin, ...]:
    """A coalition's losses, one for each example in the order of the probe, each over its count."""
    tamed = [min(loss, MOST_LOSS) if isfinite(loss) else MOST_LOSS for loss in losses]
    return tuple(
        Bin(
            round(fsum(tamed[place] for place in places) * MILLIONTHS),
            sum(counts[place] for place in places),
        )
        for places in places_of(len(losses))
    )
