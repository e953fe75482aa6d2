"""What organisations gave and what it was worth; a file for each subject."""

from hub.contributions.models.facts import ContributionFact, Outcome
from hub.contributions.models.valuations import (
    CoalitionScore,
    Valuation,
    ValuationState,
    Value,
)

__all__ = [
    "CoalitionScore",
    "ContributionFact",
    "Outcome",
    "Valuation",
    "ValuationState",
    "Value",
]
