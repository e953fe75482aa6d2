"""Combinations: how the changes of one piece of one tensor become one change.

A combination is a frozen dataclass; a new one is one file and one import here.
"""

from federation.combinations import mean, median, near_median, trimmed_mean
from federation.combinations.base import Combination, combinations

__all__ = [
    "Combination",
    "combinations",
    "mean",
    "median",
    "near_median",
    "trimmed_mean",
]
