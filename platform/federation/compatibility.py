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
    CONTROL_VARIATES = "control variates"


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
    YES,
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
            YES,
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
            Cell(False, "its factors are other directions in every round"),
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
            Cell(False, "part of what sites learn goes where no gradient of theirs comes again"),
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
            Cell(True, "from the sum, where all take as many steps"),
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


def conflicts_of_controls(
    *, strategy: str, rule: str, combination: str, at_the_sites: str, counts_late: bool
) -> Iterator[str]:
    """Why gradients cannot be corrected by control variates in such a run (SCAFFOLD)."""
    if not (cell := MATRIX[strategy][Feature.CONTROL_VARIATES]).is_possible:
        fitting = (name for name, row in MATRIX.items() if row[Feature.CONTROL_VARIATES] == YES)
        yield (
            f"{strategy} does not go with {Feature.CONTROL_VARIATES}: {cell.how}; choose one of "
            f"{', '.join(fitting)}, at one rank for all"
        )
    if at_the_sites != "sgd":
        yield (
            "scaffold remembers mean gradients, and sees them in the steps of plain SGD alone: "
            f"choose sgd at the sites, not {at_the_sites}"
        )
    if (rule, combination) != (PLAIN_RULE, PLAIN_COMBINATION):
        guard = rule if rule != PLAIN_RULE else combination
        yield (
            f"{guard} guards what updates do to the model, and what scaffold remembers of them "
            "would reach every site past it: choose one of the two"
        )
    if counts_late:
        yield (
            "scaffold compares a site with all others in the same round: record late updates, or "
            "refuse them"
        )


def fewest_of(rule: str, combination: str, liars: int) -> int:
    """The fewest updates for which rule and combination keep what they promise."""
    combined = COMBINATIONS[combination].fewest(liars)
    return max(configured(rules, rule, liars=liars).fewest(), combined)


def survived(rule: str, combination: str, liars: int, updates: int) -> int:
    """How many of so many updates may be lies: what the one that guards survives."""
    if rule == PLAIN_RULE:
        return COMBINATIONS[combination].survives(updates, liars)
    return configured(rules, rule, liars=liars).survives(updates)
