"""Aggregation strategies: how the updates of a round become the next adapter.

A strategy is the algebra of LoRA pairs; what each update counts is a rule's, and how the values of
plain tensors are combined a combination's. It is a frozen dataclass whose fields are its
hyperparameters; a new one is one file and one import here.
"""

from federation.strategies import fedavg, fedex, fedsb, ffa, rolora, stack_svd
from federation.strategies.base import (
    AggregationRefused,
    ChangeStrategy,
    Combined,
    Member,
    ResidualStrategy,
    Strategy,
    keeps_basis,
    strategies,
)

__all__ = [
    "AggregationRefused",
    "ChangeStrategy",
    "Combined",
    "Member",
    "ResidualStrategy",
    "Strategy",
    "fedavg",
    "fedex",
    "fedsb",
    "ffa",
    "keeps_basis",
    "rolora",
    "stack_svd",
    "strategies",
]
