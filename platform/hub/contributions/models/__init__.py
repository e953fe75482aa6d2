"""What organisations gave and what it was worth; a file for each subject."""

from hub.contributions.models.cases import (
    IN_FORCE,
    SUSPECT,
    TOGETHER,
    Answer,
    Case,
    CaseKind,
    CaseState,
    Sketch,
)
from hub.contributions.models.facts import ContributionFact, Outcome
from hub.contributions.models.rewards import Credit, CreditKind, Reward
from hub.contributions.models.valuations import (
    CoalitionScore,
    Valuation,
    ValuationState,
    Value,
)

__all__ = [
    "IN_FORCE",
    "SUSPECT",
    "TOGETHER",
    "Answer",
    "Case",
    "CaseKind",
    "CaseState",
    "CoalitionScore",
    "ContributionFact",
    "Credit",
    "CreditKind",
    "Outcome",
    "Reward",
    "Sketch",
    "Valuation",
    "ValuationState",
    "Value",
]
