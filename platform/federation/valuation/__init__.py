"""What each participation contributed to a round; one file for each method.

A method is a frozen dataclass whose fields are its settings; a new one is one file and one import
here. All but `coalitions` and `slopes`, which measure models, is the standard library alone: the
hub, a member and whoever checks an export compute the same values with the same code.
"""

from federation.valuation import (
    cgsv,
    exact,
    gradient_alignment,
    guided_permutations,
    leave_one_out,
)
from federation.valuation.base import Draw, Evidence, Method, Step, valuations
from federation.valuation.binning import FEWEST_EXAMPLES
from federation.valuation.documents import document_of, read_document, replay
from federation.valuation.games import (
    GAME,
    MILLIONTHS,
    NOBODY,
    Bin,
    Coalition,
    Game,
    Measured,
    Table,
    ValuationRefused,
    written,
)
from federation.valuation.rewards import RewardRule, Split, credits_of
from federation.valuation.rounds import cumulated
from federation.valuation.valuing import Contribution, Valuation, Valued, seed_of

__all__ = [
    "FEWEST_EXAMPLES",
    "GAME",
    "MILLIONTHS",
    "NOBODY",
    "Bin",
    "Coalition",
    "Contribution",
    "Draw",
    "Evidence",
    "Game",
    "Measured",
    "Method",
    "RewardRule",
    "Split",
    "Step",
    "Table",
    "Valuation",
    "ValuationRefused",
    "Valued",
    "cgsv",
    "credits_of",
    "cumulated",
    "document_of",
    "exact",
    "gradient_alignment",
    "guided_permutations",
    "leave_one_out",
    "read_document",
    "replay",
    "seed_of",
    "valuations",
    "written",
]
