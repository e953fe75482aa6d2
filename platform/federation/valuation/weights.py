"""What an update weighs in its round's game: its share, and no more for having gone further."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from statistics import median

FEWEST = 3  # updates whose median says what is usual
FAR = 2.0  # medians


def fixed_weights(counts: Sequence[float], norms: Sequence[float | None]) -> list[float]:
    """The weights pᵢ of a round's game, in the order of its updates.

    `counts`: what each counts before any rule judges it, mostly its examples. `norms`: how far each
    moves the model, in ΔW space; None where that is not known. A share of the counts, times a
    factor that takes away what an update gains by being sent longer. Exactly the shares with fewer
    than three norms, or where half of the round did nothing.
    """
    total = fsum(counts)
    known = [norm for norm in norms if norm is not None]
    usual = median(known) if len(known) >= FEWEST else 0.0
    return [
        count / total * (_factor(norm / usual) if norm and usual > 0 else 1.0)
        for count, norm in zip(counts, norms, strict=True)
    ]


def _factor(times: float) -> float:
    """Of an update that goes so many times as far as the median: to there, and beyond FAR less.

    Twice as long, it would lower the loss more without there being more behind it; far longer, it
    turns the common model its way, so that the others' updates lower the loss less.
    """
    if times <= 1:
        return 1.0
    return 1 / times if times <= FAR else FAR / times**2
