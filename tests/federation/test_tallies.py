"""Sums over test sets: they add up to those of all data together, and lies about them show."""

from __future__ import annotations

from math import exp, isclose, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.figures import (
    accuracy,
    area_under_curve,
    by_label,
    dispersion,
    macro_f1,
    mean_loss,
    tail,
    top_confusions,
)
from federation.modelling.losses import classified
from federation.protocol import EvaluationResult, Scores
from federation.tallies import (
    HIGHEST_SCORE,
    SCORE_BINS,
    Rows,
    inconsistencies,
    pool,
    result_of,
)

EXACT = 1e-9


# What everybody knows, over all examples in one place.


def f1_of(truths: np.ndarray, said: np.ndarray) -> float:
    found = []
    for label in np.union1d(truths, said):
        right = ((truths == label) & (said == label)).sum()
        precision = right / max((said == label).sum(), 1)
        recall = right / max((truths == label).sum(), 1)
        found.append(2 * precision * recall / (precision + recall) if right else 0.0)
    return float(np.mean(found))


def recalls_of(truths: np.ndarray, said: np.ndarray) -> list[float]:
    return [(said[truths == label] == label).mean() for label in np.unique(truths)]


def area_of(is_right: np.ndarray, scores: np.ndarray) -> float:
    wrong = np.sort(scores[~is_right])
    below, upto = (np.searchsorted(wrong, scores[is_right], side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(wrong))


def result(logits: torch.Tensor, truths: torch.Tensor, beside: Rows | None = None):
    """What an agent would send of these answers."""
    found = classified(logits, truths[:, None])
    right, wrong = found.scores.tolist()
    return result_of("1", rows(logits, truths), Scores(right=right, wrong=wrong), beside)


def rows(logits: torch.Tensor, truths: torch.Tensor) -> Rows:
    found = classified(logits, truths[:, None])
    columns = (found.losses, found.terms, found.truths, found.answers)
    return Rows(*(tuple(column.tolist()) for column in columns))


@st.composite
def measured(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[int]]:
    """Two models' answers to the same examples, and where the organisations' parts end."""
    seed, labels = draw(st.integers(0, 2**31)), draw(st.integers(2, 6))
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=6))
    dice = torch.Generator().manual_seed(seed)
    count = sum(sizes)
    truths = torch.randint(labels, (count,), generator=dice)
    answers = [3 * torch.randn(count, labels, generator=dice) for _ in range(2)]
    return answers[0], answers[1], truths, sizes


@settings(max_examples=25)
@given(measured())
def test_pooled_sums_are_those_of_all_data_together(case) -> None:
    ours, theirs, truths, sizes = case
    parts = zip(ours.split(sizes), theirs.split(sizes), truths.split(sizes), strict=True)
    pooled = pool(result(a, t, beside=rows(b, t)) for a, b, t in parts)
    whole = result(ours, truths, beside=rows(theirs, truths))
    assert (pooled.examples, pooled.correct) == (whole.examples, whole.correct)
    assert (pooled.confusion, pooled.scores) == (whole.confusion, whole.scores)
    assert pooled.paired.gained == whole.paired.gained
    for name in ("squares", "by_terms", "terms_squares"):
        for one, other in ((pooled, whole), (pooled.paired, whole.paired)):
            assert isclose(getattr(one.spread, name), getattr(other.spread, name), rel_tol=EXACT)
    assert isclose(pooled.loss_sum, whole.loss_sum, rel_tol=EXACT)
    assert not list(inconsistencies(whole, labels=ours.shape[1]))


@settings(max_examples=25)
@given(measured())
def test_figures_are_those_that_everybody_knows(case) -> None:
    logits, _, truths, _ = case
    found = result(logits, truths)
    said = logits.argmax(dim=1)
    assert accuracy(found) == pytest.approx((said == truths).double().mean().item(), abs=EXACT)
    assert macro_f1(found.confusion) == pytest.approx(
        f1_of(truths.numpy(), said.numpy()), abs=EXACT
    )
    chances = logits.double().softmax(dim=1)[torch.arange(len(truths)), truths]
    assert mean_loss(found) == pytest.approx(-chances.log().mean().item(), rel=1e-5)


@settings(max_examples=25)
@given(measured())
def test_the_area_under_the_curve_is_that_of_the_scores_cut_to_bins(case) -> None:
    logits, _, truths, _ = case
    labels = logits.shape[1]
    chances = logits.double().softmax(dim=1)
    odds = (chances.log() - torch.log1p(-chances)).clamp(-HIGHEST_SCORE, HIGHEST_SCORE)
    cut = (odds + HIGHEST_SCORE).mul(SCORE_BINS / 2 / HIGHEST_SCORE).floor()
    is_right = torch.nn.functional.one_hot(truths, labels)
    if labels == 2:
        cut, is_right = cut[:, 1], is_right[:, 1]
    found = area_under_curve(result(logits, truths).scores)
    if found is None:
        assert len(set(is_right.flatten().tolist())) == 1
        return
    expected = area_of(is_right.flatten().bool().numpy(), cut.flatten().numpy())
    assert found == pytest.approx(expected, abs=0.02)  # a score at a bin's edge may go either way


def test_small_cases_by_hand() -> None:
    cells = ((0, 0, 8), (0, 1, 2), (1, 1, 1), (1, 0, 1), (2, 0, 3))
    assert [(one.label, one.recall) for one in tail(cells, 2)] == [(2, 0.0), (1, 0.5)]
    assert top_confusions(cells, 2) == [(2, 0, 3), (0, 1, 2)]
    assert [one.f1 for one in by_label(cells)] == [16 / 22, 2 / 5, 0.0]
    found = dispersion([0.5, 0.7, 0.9])
    assert (found.width, found.deviation) == pytest.approx((0.4, (0.08 / 3) ** 0.5))
    assert dispersion([]) is None


def test_sums_that_some_did_not_send_are_not_made_up() -> None:
    full = result(torch.eye(3), torch.arange(3))
    bare = EvaluationResult(name="1", examples=2, correct=1, loss_sum=1.0)
    both = pool([full, bare])
    assert (both.examples, both.correct) == (5, 4)
    assert both.confusion is both.scores is both.spread is both.paired is None
    with pytest.raises(ValueError, match="nothing"):
        pool([])


LIES = {
    "add up to the examples": {"examples": 4},
    "diagonal": {"correct": 1, "paired": None},
    "does not have": {"confusion": ((0, 0, 1), (1, 1, 1), (2, 3, 1))},
    "twice": {"confusion": ((0, 0, 1), (0, 0, 1), (2, 2, 1))},
    "squares of the loss": {"loss_sum": 1e6},
    "one for each example": {"scores": Scores(right=(1,) * 256, wrong=(1,) * 256)},
    "other right answers": {"confusion": None, "correct": 2},
}


@pytest.mark.parametrize("said", LIES)
def test_sums_that_cannot_be_of_one_test_set_are_found_out(said: str) -> None:
    truths = torch.arange(3)
    honest = result(torch.eye(3), truths, beside=rows(torch.eye(3), truths))
    assert not list(inconsistencies(honest, labels=3))
    lying = honest.model_copy(update=LIES[said])
    assert any(said in why for why in inconsistencies(lying, labels=3))
    assert list(inconsistencies(honest, labels=0))


def test_language_models_have_no_labels_and_count_tokens() -> None:
    ours, theirs = Rows((3.0, 1.0), (2, 5)), Rows((2.0, 2.0), (2, 5))
    found = result_of("1", ours, None, theirs)
    assert (found.tokens, found.correct, found.confusion) == (7, None, None)
    assert (found.spread.by_terms, found.spread.terms_squares) == (11.0, 29.0)
    assert (found.paired.loss_sum, found.paired.spread.by_terms) == (0.0, 2.0 - 5.0)
    assert not list(inconsistencies(found, labels=0))
    assert mean_loss(found) == 4 / 7


def test_log_odds_are_what_they_are_called() -> None:
    score = log(0.8 / 0.2)
    chances = torch.tensor([[log(0.2), log(0.8)]])
    right, wrong = classified(chances, torch.tensor([[1]])).scores.tolist()
    edge = (score + HIGHEST_SCORE) / (2 * HIGHEST_SCORE) * SCORE_BINS
    assert (right.index(1), sum(wrong)) == (int(edge), 0)
    assert exp(score) == pytest.approx(4)
