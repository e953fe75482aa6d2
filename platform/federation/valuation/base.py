"""What every method of valuation is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from federation.registry import Registry
from federation.valuation.games import Coalition, Game

Evidence: TypeAlias = Literal["coalitions", "slopes", "cosines"]
"""What a method asks to be measured.

coalitions: the losses of coalitions' models. slopes: of single players, the losses that the
gradient at the start foretells (`slopes.py`). cosines: of single players, how far they go the way
of all, one minus the cosine for a loss, with one bin and no owner (`cosines.py`).
"""


class Step(NamedTuple):
    """What a player adds to a coalition, counted so many times."""

    times: int
    without: Coalition
    having: Coalition


@dataclass(frozen=True, slots=True)
class Draw:
    """One estimate of all values, each a weighted sum of steps over `parts`.

    Whoever is not in `steps` adds nothing. A sampling method makes several, its values are their
    mean, and how they spread says how sure it is.
    """

    steps: Mapping[str, Sequence[Step]]
    parts: int = 1


class Method(Protocol):
    """How values come from what is measured; a frozen dataclass of its settings."""

    evidence: ClassVar[Evidence]

    def wanted(self, game: Game) -> list[Coalition]:
        """What can be measured next, all of it at once; nothing where all is known.

        Asked again with more measured, it may want more. Raises ValuationRefused.
        """
        ...

    def draws(self, game: Game) -> list[Draw]:
        """Estimates whose mean the values are, once nothing is wanted any more."""
        ...

    def over_rounds(self, values: Sequence[float]) -> float:
        """One player's value over several rounds, from that of each, the first one first."""
        ...


valuations: Registry[Callable[..., Method]] = Registry("method of valuation")


class Summed:
    """Values of rounds add up, as what they brought did."""

    def over_rounds(self, values: Sequence[float]) -> float:
        return fsum(values)
