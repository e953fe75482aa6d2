"""What a test set says of a model, in sums that add up over sites; no example's own value is one.

Scores, for the area under the ROC curve: the log-odds of a label's probability, from -16 to 16 in
256 bins of equal width; what lies beyond counts in the last. With two labels it is the second
one's score, once for each example; with more, every label's (one against the rest, all pooled).
Histograms with equal bins add up, so the pooled area is exactly that of all data in these bins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final

from federation.protocol import (
    MOST_CELLS,
    SCORE_BINS,
    Cell,
    EvaluationResult,
    Paired,
    Scores,
    Spread,
)

HIGHEST_SCORE: Final = 16.0
BINARY: Final = 2  # labels of which only the second is scored
POOLED: Final = "pooled"
SLACK: Final = 1e-6  # relative, for sums of floats


@dataclass(frozen=True, slots=True)
class Rows:
    """What a model made of each example, in the order of the data. Stays at the site.

    `losses`: each summed over its terms. `truths`, `answers`: places of labels, where there are.
    """

    losses: tuple[float, ...]
    terms: tuple[int, ...]
    truths: tuple[int, ...] | None = None
    answers: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def hits(self) -> list[bool] | None:
        if self.truths is None or self.answers is None:
            return None
        return [truth == answer for truth, answer in zip(self.truths, self.answers, strict=True)]


def result_of(
    name: str, rows: Rows, scores: Scores | None, reference: Rows | None = None
) -> EvaluationResult:
    """The sums of one adapter, beside those of the reference on the same examples."""
    hits = rows.hits
    return EvaluationResult(
        name=name,
        examples=len(rows),
        correct=None if hits is None else sum(hits),
        tokens=sum(rows.terms) if hits is None else 0,
        loss_sum=fsum(rows.losses),
        confusion=_confusion(rows),
        scores=scores,
        spread=spread_of(rows.losses, rows.terms),
        paired=reference and paired(rows, reference),
    )


def _confusion(rows: Rows) -> tuple[Cell, ...] | None:
    """Sorted cells; None without labels, or where there are more cells than a message holds."""
    if rows.truths is None or rows.answers is None:
        return None
    counted = Counter(zip(rows.truths, rows.answers, strict=True))
    if len(counted) > MOST_CELLS:
        return None
    return tuple((true, said, count) for (true, said), count in sorted(counted.items()))


def spread_of(values: Sequence[float], terms: Sequence[int]) -> Spread:
    return Spread(
        squares=fsum(x * x for x in values),
        by_terms=fsum(x * t for x, t in zip(values, terms, strict=True)),
        terms_squares=float(sum(t * t for t in terms)),
    )


def paired(rows: Rows, reference: Rows) -> Paired:
    """Two models on the same examples."""
    differences = [x - y for x, y in zip(rows.losses, reference.losses, strict=True)]
    sums = {"loss_sum": fsum(differences), "spread": spread_of(differences, rows.terms)}
    ours, theirs = rows.hits, reference.hits
    if ours is None or theirs is None:
        return Paired.model_validate(sums)
    found = Counter(zip(ours, theirs, strict=True))
    return Paired.model_validate(
        {
            "both": found[True, True],
            "gained": found[True, False],
            "lost": found[False, True],
            "neither": found[False, False],
            **sums,
        }
    )


def bin_of(score: float) -> int:
    """The place of a score in the histograms; torch does the same in modelling/losses.py."""
    share = (score + HIGHEST_SCORE) / (2 * HIGHEST_SCORE)
    return min(max(int(share * SCORE_BINS), 0), SCORE_BINS - 1)


# ------------------------------------------------------------------------ adding up


def pool(results: Iterable[EvaluationResult]) -> EvaluationResult:
    """The sums of all test data together; what somebody did not send is None of the whole.

    Raises:
        ValueError: there are none.
    """
    given = list(results)
    if not given:
        raise ValueError("nothing was evaluated")
    correct = [one.correct for one in given if one.correct is not None]
    return EvaluationResult.model_construct(
        name=POOLED,
        examples=sum(one.examples for one in given),
        correct=sum(correct) if len(correct) == len(given) else None,
        tokens=sum(one.tokens for one in given),
        loss_sum=fsum(one.loss_sum for one in given),
        confusion=_pooled_cells([one.confusion for one in given]),
        scores=_pooled_scores([one.scores for one in given]),
        spread=_pooled_spread([one.spread for one in given]),
        paired=pool_paired([one.paired for one in given]),
    )


def _pooled_cells(parts: Sequence[tuple[Cell, ...] | None]) -> tuple[Cell, ...] | None:
    summed: Counter[tuple[int, int]] = Counter()
    for part in parts:
        if part is None:
            return None
        for true, said, count in part:
            summed[true, said] += count
    return tuple((true, said, count) for (true, said), count in sorted(summed.items()))


def _pooled_scores(parts: Sequence[Scores | None]) -> Scores | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Scores.model_construct(
        right=tuple(map(sum, zip(*(part.right for part in known), strict=True))),
        wrong=tuple(map(sum, zip(*(part.wrong for part in known), strict=True))),
    )


def _pooled_spread(parts: Sequence[Spread | None]) -> Spread | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Spread(
        squares=fsum(part.squares for part in known),
        by_terms=fsum(part.by_terms for part in known),
        terms_squares=fsum(part.terms_squares for part in known),
    )


def pool_paired(parts: Iterable[Paired | None]) -> Paired | None:
    """None where somebody did not compare."""
    given = list(parts)
    known = [part for part in given if part is not None]
    spread = _pooled_spread([part.spread for part in known])
    if not known or len(known) < len(given) or spread is None:
        return None
    counts: dict[str, int | None] = {}
    for name in ("both", "gained", "lost", "neither"):
        values = [value for part in known if (value := getattr(part, name)) is not None]
        counts[name] = sum(values) if len(values) == len(known) else None
    return Paired(loss_sum=fsum(part.loss_sum for part in known), spread=spread, **counts)


# ------------------------------------------------------------------------ believing


def inconsistencies(result: EvaluationResult, labels: int) -> Iterator[str]:
    """Why these sums cannot be those of one test set; `labels`: how many the plan has, or 0."""
    if labels and result.correct is None:
        yield "right answers are missing"
    if labels and result.correct is not None and result.correct > result.examples:
        yield "there are more right answers than examples"
    if not labels and any((result.correct is not None, result.confusion, result.scores)):
        yield "the plan has no labels that answers could be counted by"
    if labels and result.confusion is not None:
        yield from _wrong_cells(result, labels)
    if labels and result.scores is not None:
        yield from _wrong_scores(result, labels)
    terms = result.examples if labels else result.tokens
    if result.spread and not _can_be(result.spread, result.loss_sum, result.examples, terms):
        yield "sum and squares of the loss do not go together"
    if result.paired is not None:
        yield from _wrong_pairs(result, result.paired, labels, terms)


def _wrong_cells(result: EvaluationResult, labels: int) -> Iterator[str]:
    cells = result.confusion or ()
    if any(max(true, said) >= labels for true, said, _ in cells):
        yield "a confusion names a label that the plan does not have"
    if len({(true, said) for true, said, _ in cells}) < len(cells):
        yield "a confusion counts the same twice"
    if sum(count for *_, count in cells) != result.examples:
        yield "a confusion does not add up to the examples"
    if sum(count for true, said, count in cells if true == said) != result.correct:
        yield "the diagonal of a confusion is not the right answers"


def _wrong_scores(result: EvaluationResult, labels: int) -> Iterator[str]:
    assert result.scores is not None
    right, wrong = sum(result.scores.right), sum(result.scores.wrong)
    if labels > BINARY and (right, wrong) != (result.examples, result.examples * (labels - 1)):
        yield "the scores are not one for each example and label"
    if labels == BINARY and right + wrong != result.examples:
        yield "the scores are not one for each example"
    second = [count for true, _, count in result.confusion or () if true == 1]
    if labels == BINARY and result.confusion is not None and sum(second) != right:
        yield "scores and confusion count the second label differently"


def _wrong_pairs(result: EvaluationResult, pairs: Paired, labels: int, terms: int) -> Iterator[str]:
    counts = [pairs.both, pairs.gained, pairs.lost, pairs.neither]
    known = [count for count in counts if count is not None]
    if len(known) != (len(counts) if labels else 0):
        yield "the comparison counts what is not there, or does not count what is"
    elif labels and sum(known) != result.examples:
        yield "the comparison does not add up to the examples"
    elif labels and known[0] + known[1] != result.correct:
        yield "the comparison counts other right answers"
    if not _can_be(pairs.spread, pairs.loss_sum, result.examples, terms):
        yield "sum and squares of the compared loss do not go together"


def _can_be(spread: Spread, total: float, examples: int, terms: int) -> bool:
    """Cauchy and Schwarz: (Σx)² ≤ n·Σx², (Σt)² ≤ n·Σt², (Σxt)² ≤ Σx²·Σt², none negative."""
    if min(spread.squares, spread.terms_squares) < 0:
        return False
    bounds = (
        (total * total, examples * spread.squares),
        (float(terms) ** 2, examples * spread.terms_squares),
        (spread.by_terms**2, spread.squares * spread.terms_squares),
    )
    return all(least <= most * (1 + SLACK) + SLACK for least, most in bounds)
