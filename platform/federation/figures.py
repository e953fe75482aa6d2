"""What sums over test sets say: accuracy, recalls, F1, area under the curve, and their spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from federation.protocol import Cell, EvaluationResult, Scores


@dataclass(frozen=True, slots=True)
class OfLabel:
    """One label in a confusion; `label` is its place in the plan's list."""

    label: int
    examples: int  # that have it
    answered: int  # that were given it
    right: int

    @property
    def recall(self) -> float | None:
        return self.right / self.examples if self.examples else None

    @property
    def f1(self) -> float:
        """2·right / (examples + answered), the harmonic mean of precision and recall."""
        return 2 * self.right / (self.examples + self.answered)


def by_label(confusion: Iterable[Cell]) -> list[OfLabel]:
    """The labels that occur, as truth or as answer, in the order of the plan's list."""
    examples: Counter[int] = Counter()
    answered: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for true, said, count in confusion:
        examples[true] += count
        answered[said] += count
        right[true] += count if true == said else 0
    every = sorted(examples.keys() | answered.keys())
    return [OfLabel(one, examples[one], answered[one], right[one]) for one in every]


def macro_f1(confusion: Iterable[Cell]) -> float:
    """The mean F1 of the labels that occur, each as heavy as the others."""
    found = by_label(confusion)
    return fsum(one.f1 for one in found) / len(found)


def tail(confusion: Iterable[Cell], most: int) -> list[OfLabel]:
    """The labels with the lowest recall, the lowest first; of equals the one with more examples."""
    known = [one for one in by_label(confusion) if one.examples]
    return sorted(known, key=lambda one: (one.recall, -one.examples, one.label))[:most]


def top_confusions(confusion: Iterable[Cell], most: int) -> list[Cell]:
    """What was most often taken for what."""
    wrong = [cell for cell in confusion if cell[0] != cell[1]]
    return sorted(wrong, key=lambda cell: (-cell[2], cell[:2]))[:most]


def area_under_curve(scores: Scores) -> float | None:
    """The chance that a right label is scored above a wrong one; ties within a bin count half.

    That is the area under the ROC curve (Hanley and McNeil 1982), of scores cut to bins. None
    where there is nothing to compare.
    """
    rights, wrongs = sum(scores.right), sum(scores.wrong)
    if not rights or not wrongs:
        return None
    below, doubled = 0, 0  # twice the pairs that are in order, so that it stays whole
    for right, wrong in zip(scores.right, scores.wrong, strict=True):
        doubled += right * (2 * below + wrong)
        below += wrong
    return doubled / (2 * rights * wrongs)


def mean_loss(result: EvaluationResult) -> float:
    """Over examples where there are labels, else over predicted tokens."""
    units = result.examples if result.correct is not None else result.tokens or result.examples
    return result.loss_sum / units


def accuracy(result: EvaluationResult) -> float | None:
    return None if result.correct is None else result.correct / result.examples


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How far organisations lie apart, each as heavy as the others."""

    least: float
    most: float
    deviation: float  # standard, of all there are

    @property
    def width(self) -> float:
        return self.most - self.least


def dispersion(values: Sequence[float]) -> Dispersion | None:
    """None for nothing."""
    if not values:
        return None
    mean = fsum(values) / len(values)
    variance = fsum((value - mean) ** 2 for value in values) / len(values)
    return Dispersion(min(values), max(values), sqrt(variance))
