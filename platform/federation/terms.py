"""What a strategy asks of those who train: which factors travel, and whether ranks may differ.

The algebra of a strategy is in `federation.strategies`; this is what has to be known where there
is no torch: when a plan is checked, when an update is announced. An update holds what travels and
nothing else; what stays is the start's, to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from federation.layout import is_residual, lora_factor


@dataclass(frozen=True, slots=True)
class Travels:
    """Whether a tensor of the state travels in a round; residuals never do, heads always."""

    factors: str

    def __call__(self, name: str) -> bool:
        factor = lora_factor(name)
        return factor in self.factors if factor else not is_residual(name)


@dataclass(frozen=True, slots=True)
class Terms:
    """`rounds`: the factors that are trained and travel in rounds 1, 2, … and over again.

    `has_residual`: beside each pair the state may hold a second one, which nobody trains.
    """

    rounds: tuple[str, ...] = ("AB",)
    mixes_ranks: bool = False
    needs_lora: bool = True
    takes_dora: bool = True
    has_residual: bool = False

    @property
    def has_middle(self) -> bool:
        """Whether B and A are fixed for good, and a small matrix between them is trained."""
        return "R" in self.rounds

    @property
    def trained(self) -> Travels:
        """What is trained in one round or another."""
        return Travels("".join(self.rounds))

    def travels(self, round_number: int) -> Travels:
        """What an update of this round holds; rounds are counted from 1."""
        return Travels(self.rounds[(round_number - 1) % len(self.rounds)])


TERMS: Mapping[str, Terms] = MappingProxyType(
    {
        "stack_svd": Terms(mixes_ranks=True),
        "fedavg": Terms(needs_lora=False),
        "ffa": Terms(("B",)),
        "rolora": Terms(("B", "A")),
        "fedex": Terms(takes_dora=False, has_residual=True),
        "fedsb": Terms(("R",), takes_dora=False),
    }
)
