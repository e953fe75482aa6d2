"""Rules: what each update counts, judged from evidence.

A rule is a frozen dataclass whose fields are its hyperparameters; a new one is one file and one
import here. Nothing here imports torch: a rule sees inner products, never values.
"""

from federation.rules import (
    bulyan,
    flame,
    fltrust,
    geometric_median,
    krum,
    multi_krum,
    shares,
)
from federation.rules.base import Evidence, Rule, Weights, rules

__all__ = [
    "Evidence",
    "Rule",
    "Weights",
    "bulyan",
    "flame",
    "fltrust",
    "geometric_median",
    "krum",
    "multi_krum",
    "rules",
    "shares",
]
