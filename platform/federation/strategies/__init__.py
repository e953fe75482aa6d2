"""Aggregation strategies: how the updates of a round become the next adapter.

A round composes three things that vary on their own: weights from evidence (the shares of the
participations, lowered by clipping), the combination of one module's factor pairs (a strategy),
and the step of the server (the combination is taken as it is). A strategy is a frozen dataclass
whose fields are its hyperparameters; a new one is one file and one import here.
"""

from federation.strategies import fedavg, stack_svd
from federation.strategies.base import (
    AggregationRefused,
    Combined,
    Strategy,
    configured,
    keeps_basis,
    strategies,
)

__all__ = [
    "AggregationRefused",
    "Combined",
    "Strategy",
    "configured",
    "fedavg",
    "keeps_basis",
    "stack_svd",
    "strategies",
]
