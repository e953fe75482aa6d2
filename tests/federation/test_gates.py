"""Gates on small counts, and the intervals that say how sure they are."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from federation.gates import Case, Measured, Probed, Verdict, gates, judgements
from federation.intervals import Bootstrap, hits_of, paired_interval
from federation.plan import CausalLanguageModelling, Evaluation, Plan, SequenceClassification
from federation.plan_gates import ASKED, Gates
from federation.protocol import EvaluationResult
from federation.tallies import Rows, paired, result_of, spread_of


def compared(both: int, gained: int, lost: int, neither: int) -> EvaluationResult:
    """What an agent sends of two labels, of which every example has the first."""
    answers = [(0, 0)] * both + [(0, 1)] * gained + [(1, 0)] * lost + [(1, 1)] * neither
    ours, theirs = zip(*answers, strict=True)
    ones, zeros = (1,) * len(ours), (0,) * len(ours)
    losses, others = (tuple(float(wrong) for wrong in said) for said in (ours, theirs))
    return result_of("1", Rows(losses, ones, zeros, ours), None, Rows(others, ones, zeros, theirs))


BIG = Measured("Ada Institute", compared(700, 150, 20, 130))
SMALL = Measured("Carol Clinic", compared(10, 0, 8, 2))


def only(case: Case):
    ((_, judgement),) = judgements(case)
    return judgement


def test_every_gate_that_a_plan_can_ask_for_is_there() -> None:
    assert set(gates) == ASKED


def test_harm_to_the_smallest_is_seen_though_all_together_gain() -> None:
    together = Case(Gates(below_release_at_most=0.0), (BIG, SMALL))
    assert only(together).verdict == Verdict.PASS
    assert only(together).found.value == pytest.approx((150 - 28) / 1020)
    each = only(Case(Gates(organisation_below_release_at_most=0.02), (BIG, SMALL)))
    assert (each.verdict, each.who, each.blocks) == (Verdict.FAIL, "Carol Clinic", True)
    assert each.found.value == -0.4
    assert each.found.upper < -0.02
    assert each.is_paired
    assert each.is_sure


def test_what_decides_in_doubt_is_the_plan_s() -> None:
    near = Measured("Carol Clinic", compared(10, 1, 2, 7))
    case = Case(Gates(organisation_below_release_at_most=0.01), (near,))
    told = {}
    for doubt in ("measured", "block", "allow"):
        one = only(replace(case, gates=case.gates.model_copy(update={"doubt": doubt})))
        told[doubt] = (one.verdict, one.blocks, one.is_sure)
    assert told == {
        "measured": (Verdict.FAIL, True, False),
        "block": (Verdict.UNKNOWN, True, False),
        "allow": (Verdict.UNKNOWN, False, False),
    }


def test_an_organisation_that_has_not_answered_leaves_a_doubt() -> None:
    asked = Gates(accuracy_at_least=0.5, doubt="block")
    assert only(Case(asked, (BIG,))).verdict == Verdict.PASS
    assert only(Case(asked, (BIG,), missing=("Carol Clinic",))).blocks
    usual = asked.model_copy(update={"doubt": "measured"})
    assert only(Case(usual, (BIG,), missing=("Carol Clinic",))).verdict == Verdict.PASS


@pytest.mark.parametrize("name", sorted(ASKED))
def test_what_nobody_has_measured_is_unknown_and_blocks(name: str) -> None:
    one = only(Case(Gates.model_validate({name: 0.5, "doubt": "allow"}), ()))
    assert (one.verdict, one.blocks, one.found) == (Verdict.UNKNOWN, True, None)
    assert one.why


def test_floors_and_ceilings() -> None:
    asked = Gates(accuracy_at_least=0.8, loss_at_most=0.1, tail_recall_at_least=0.9)
    told = {name: one.verdict for name, one in judgements(Case(asked, (BIG,)))}
    assert told == {
        "accuracy_at_least": Verdict.PASS,
        "loss_at_most": Verdict.FAIL,
        "tail_recall_at_least": Verdict.FAIL,
    }
    assert list(judgements(Case(Gates(), (BIG,)))) == []


def test_a_reference_measured_at_another_time_is_compared_less_surely() -> None:
    alone = BIG.result.model_copy(update={"paired": None})
    earlier = EvaluationResult(name="0", examples=1000, correct=720, loss_sum=280.0)
    apart = only(Case(Gates(below_release_at_most=0.0), (Measured("Ada", alone, earlier),)))
    beside = only(Case(Gates(below_release_at_most=0.0), (BIG,)))
    assert apart.found.value == pytest.approx(beside.found.value)
    assert not apart.is_paired
    wide, narrow = (one.found.upper - one.found.lower for one in (apart, beside))
    assert wide > narrow


def test_forgetting_is_the_loss_beyond_the_base_s_own() -> None:
    def text(loss: float) -> EvaluationResult:
        losses = tuple(loss * n for n in (3, 5, 4))
        return result_of("1", Rows(losses, (3, 5, 4)), None)

    case = Case(Gates(forgotten_at_most=0.2), (), probed=Probed(text(2.3), text(2.0)))
    one = only(case)
    assert (one.verdict, one.found.value) == (Verdict.FAIL, pytest.approx(0.3))
    fine = replace(case, probed=Probed(text(2.1), text(2.0)))
    assert only(fine).verdict == Verdict.PASS


def test_language_models_are_compared_by_loss() -> None:
    ours, theirs = Rows((2.0, 6.0), (2, 4)), Rows((1.8, 5.2), (2, 4))
    one = Measured("Ada", result_of("1", ours, None, theirs))
    found = only(Case(Gates(below_release_at_most=0.1), (one,)))
    assert found.found.value == pytest.approx(-1 / 6)
    assert (found.is_share, found.verdict) == (False, Verdict.FAIL)


# ------------------------------------------------------------------ intervals


def resampled(values: list[float], terms: list[int], seed: int = 1) -> list[float]:
    """Koehn's way: draw the examples themselves, again and again."""
    dice, count = random.Random(seed), len(values)
    found = []
    for _ in range(3000):
        drawn = dice.choices(range(count), k=count)
        found.append(sum(values[i] for i in drawn) / sum(terms[i] for i in drawn))
    return np.quantile(found, [0.025, 0.975]).tolist()


def test_counts_give_the_interval_that_drawing_examples_gives() -> None:
    signs = [1.0] * 60 + [-1.0] * 35 + [0.0] * 305
    found = paired_interval(compared(200, 60, 35, 105).paired, 400, seed=3)
    expected = resampled(signs, [1] * 400)
    assert [found.lower, found.upper] == pytest.approx(expected, abs=0.006)
    assert found == paired_interval(compared(200, 60, 35, 105).paired, 400, seed=3)


def test_sums_of_losses_give_the_interval_that_drawing_examples_gives() -> None:
    dice = random.Random(5)
    terms = [dice.randint(1, 40) for _ in range(400)]
    losses = [dice.gauss(2.0, 0.7) * t for t in terms]
    found = Bootstrap().of_mean(sum(losses), sum(terms), spread_of(losses, terms))
    assert [found.lower, found.upper] == pytest.approx(resampled(losses, terms), abs=0.01)


@pytest.mark.parametrize(("count", "share"), [(10, 0.3), (2000, 0.004), (500, 0.5), (40, 0.97)])
def test_hits_are_drawn_as_often_as_they_should_be(count: int, share: float) -> None:
    dice = random.Random(2)
    drawn = [hits_of(dice, count, share) for _ in range(4000)]
    assert 0 <= min(drawn) <= max(drawn) <= count
    assert np.mean(drawn) == pytest.approx(count * share, rel=0.03)
    assert np.std(drawn) == pytest.approx((count * share * (1 - share)) ** 0.5, rel=0.06)
    assert (hits_of(dice, count, 0.0), hits_of(dice, count, 1.0)) == (0, count)


def test_pairs_tell_more_than_two_figures_apart() -> None:
    pairs = compared(850, 30, 10, 110)
    beside = paired_interval(pairs.paired, 1000)
    apart = Bootstrap().of_shares_apart((880, 1000), (860, 1000))
    assert beside.lower > 0 > apart.lower


def test_the_interval_of_a_loss_has_the_sign_of_a_gain() -> None:
    pairs = paired(Rows((1.0, 2.0, 2.0), (1, 2, 1)), Rows((2.0, 3.0, 2.0), (1, 2, 1)))
    found = paired_interval(pairs, 4)
    assert found.value == 0.5
    assert found.lower < 0.5 < found.upper


# ------------------------------------------------------------------ the plan


def test_a_plan_without_gates_is_what_it_was_before_there_were_any() -> None:
    plain = Plan(task=SequenceClassification(labels=("ham", "spam")))
    assert "gates" not in plain.model_dump(mode="json")
    gated = plain.model_copy(update={"gates": Gates(accuracy_at_least=0.5)})
    assert gated.digest() != plain.digest()


def test_gates_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(ValueError, match="judge what is measured"):
        Plan(
            task=SequenceClassification(labels=("ham", "spam")),
            evaluation=Evaluation(every="never"),
            gates=Gates(loss_at_most=1.0),
        )
    with pytest.raises(ValueError, match="Accuracy at least: causal_lm has no labels"):
        Plan(task=CausalLanguageModelling(), gates=Gates(accuracy_at_least=0.5))
