"""What goes together in an aggregation, as data: the matrix of strategies, and who guards.

Nothing here imports torch: the plan, the pages and the tests read the same cells. The matrix says
what mathematics allows; what it allows need not have been built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from federation.breakdown import COMBINATIONS
from federation.registry import configured
from federation.rules import rules

PLAIN_RULE: Final = "shares"
PLAIN_COMBINATION: Final = "mean"
STAGES: Final = ("bulyan", "near_median")  # two stages of one method
UNDER_SECURE_AGGREGATION: Final = "secure aggregation"


class Feature(StrEnum):
    """What a federation may want beside an aggregation."""

    DIFFERENT_RANKS = "different ranks"
    SECURE_AGGREGATION = "secure aggregation"
    RECORD_PRIVACY = "record-level privacy"
    CENTRAL_PRIVACY = "central privacy"
    WEIGHT_RULES = "weight rules"
    COORDINATE_RULES = "coordinate rules"
    CONTRIBUTIONS = "contribution of each organisation"
    REMOVAL = "removal by mask"


@dataclass(frozen=True, slots=True)
class Cell:
    """Whether two things go together, and how or why not."""

    is_possible: bool
    how: str = ""

    def __str__(self) -> str:
        word = "yes" if self.is_possible else "no"
        return f"{word}, {self.how}" if self.how else word


YES: Final = Cell(True)
NO: Final = Cell(False)


def _row(*cells: Cell) -> Mapping[Feature, Cell]:
    return MappingProxyType(dict(zip(Feature, cells, strict=True)))


_ONE_FACTOR = _row(
    NO,
    YES,
    YES,
    YES,
    YES,
    Cell(True, "on the one factor"),
    YES,
    Cell(True, "the shared factor is fixed in the round"),
)

MATRIX: Final[Mapping[str, Mapping[Feature, Cell]]] = MappingProxyType(
    {
        "fedavg": _row(
            NO,
            YES,
            YES,
            Cell(True, "noisy: the product of two noises"),
            Cell(False, "only for the change of the model, which averaged factors cannot express"),
            YES,
            YES,
            NO,
        ),
        "ffa": _ONE_FACTOR,
        "rolora": _ONE_FACTOR,
        "fedsb": _row(
            NO,
            YES,
            YES,
            Cell(True, "with the least noise"),
            YES,
            Cell(True, "on the r × r core"),
            YES,
            YES,
        ),
        "stack_svd": _row(
            YES,
            NO,
            YES,
            Cell(True, "on clipped changes before the SVD"),
            YES,
            Cell(True, "over the whole matrix, and an SVD back"),
            YES,
            YES,
        ),
        "fedex": _row(
            NO,
            NO,
            YES,
            Cell(True, "on the change of the model"),
            YES,
            Cell(True, "over the whole matrix"),
            YES,
            Cell(True, "before it is folded"),
        ),
        UNDER_SECURE_AGGREGATION: _row(
            Cell(True, "where the strategy allows them"),
            YES,
            YES,
            YES,
            Cell(False, "only bounds on norms that the agent proves, or rules over groups"),
            NO,
            Cell(False, "only an estimate for groups"),
            NO,
        ),
    }
)


def conflicts(
    *,
    strategy: str,
    is_lora: bool,
    rule: str,
    combination: str,
    liars: int,
    quorum: int,
    has_root: bool,
) -> Iterator[str]:
    """Why these cannot be one aggregation, each in a sentence; without LoRA nothing has factors."""
    guards = rule != PLAIN_RULE, combination != PLAIN_COMBINATION
    if (rule, combination) != STAGES:
        if STAGES[0] == rule:
            yield "bulyan selects and near_median combines, only both are Bulyan: add near_median"
        elif STAGES[1] == combination:
            yield "near_median is the second stage of Bulyan: choose bulyan as the judgement"
        elif all(guards):
            yield f"{rule} and {combination} both guard against lies: choose one of them"
    yield from _impossible(strategy, guards, is_lora=is_lora)
    if rules[rule]().needs_root and not has_root:
        yield f"{rule} compares with an update that all trust: name its organisation as the root"
    if has_root and not rules[rule]().needs_root:
        yield f"{rule} asks for no root of trust: choose fltrust, or name none"
    fewest = fewest_of(rule, combination, liars)
    if quorum < fewest:
        lies = "one harmful update" if liars == 1 else f"{liars} harmful updates"
        guard = rule if rule != PLAIN_RULE else combination
        yield (
            f"{guard} needs {fewest} updates to survive {lies}, and a round may close with "
            f"{quorum}: raise the quorum to {fewest}, or expect fewer"
        )


def _impossible(strategy: str, guards: tuple[bool, bool], *, is_lora: bool) -> Iterator[str]:
    row = MATRIX[strategy]
    asked = zip((Feature.WEIGHT_RULES, Feature.COORDINATE_RULES), guards, strict=True)
    for feature, is_asked in asked:
        if is_lora and is_asked and not row[feature].is_possible:
            yield f"{strategy} does not go with {feature}: {row[feature].how}; choose stack_svd"


def fewest_of(rule: str, combination: str, liars: int) -> int:
    """The fewest updates for which rule and combination keep what they promise."""
    combined = COMBINATIONS[combination].fewest(liars)
    return max(configured(rules, rule, liars=liars).fewest(), combined)


def survived(rule: str, combination: str, liars: int, updates: int) -> int:
    """How many of so many updates may be lies: what the one that guards survives."""
    if rule == PLAIN_RULE:
        return COMBINATIONS[combination].survives(updates, liars)
    return configured(rules, rule, liars=liars).survives(updates)
