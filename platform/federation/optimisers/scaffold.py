"""Control variates: what keeps sites with unlike data from drifting apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.optimisers.base import State, check_positive, optimisers


@optimisers.register("scaffold")
@dataclass(frozen=True, slots=True)
class Scaffold:
    """W' = W + η·D, of sites that step along g − cᵢ + c: SCAFFOLD (Karimireddy et al. 2020).

    arXiv:1910.06378, Algorithm 1 with option II: a site that took K steps of rate η_l from x to yᵢ
    keeps cᵢ' = cᵢ − c + (x − yᵢ)/(K·η_l), and the server c' = c + Σ (cᵢ' − cᵢ)/N over those of
    its N sites that took part. In the first round both are 0, and all is as without them.

    Where we differ: cᵢ' − cᵢ = (x − yᵢ)/(K·η_l) − c holds nothing that the server does not know,
    so it is computed on both sides and does not travel (as in SCALLION, Huang, Li and Li 2023,
    arXiv:2308.08165, which halves what is sent by that). K·η_l is the sum of the round's rates
    where these follow a schedule. Sites clip their gradients before they correct them. An update
    that the norm bound scaled down is not remembered, and all sites count as one.

    (x − yᵢ)/(K·η_l) is a mean gradient where sites take plain steps. AdamW's are gradients divided
    by their own size: as corrections of gradients they would be too long by orders of magnitude.
    So the plan refuses it with anything but SGD.
    """

    slots: ClassVar[tuple[str, ...]] = ("control",)

    lr: float = 1.0  # η, above 0

    def __post_init__(self) -> None:
        check_positive(lr=self.lr)

    def step(self, change: Tensor, state: State) -> tuple[Tensor, State]:
        """The state stays: what becomes of it depends on each site (`controls.Controlling`)."""
        return self.lr * change, state
