"""Averaging the factors: the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.strategies.base import strategies


@strategies.register("fedavg")
@dataclass(frozen=True, slots=True)
class FedAvg:
    """Weighted means of A and of B: FedAvg (McMahan et al. 2017, arXiv:1602.05629) on LoRA factors.

    Known as FedIT (Zhang et al. 2023, arXiv:2305.05644). The product of means is not the mean of
    products, and one participation that rescales its factors moves the result although its model
    is the same; the report's `relative_error` says how far off it is. Needs equal ranks.
    """

    averages_factors: ClassVar[bool] = True
    keeps_basis: ClassVar[bool] = True
