"""What gates are judged on, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from federation.figures import accuracy, mean_loss
from federation.intervals import Bootstrap, Interval, paired_interval
from federation.plan_gates import Gates
from federation.protocol import EvaluationResult
from federation.registry import Registry
from federation.tallies import pool

SLACK = 1e-12  # of a figure that meets its bound


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one organisation's test data say of the version.

    `before`: what they said of the reference at another time, where it was not beside this one.
    """

    name: str
    result: EvaluationResult
    before: EvaluationResult | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    """The mean loss on the probe set, of the version and of the base model by itself."""

    version: EvaluationResult
    base: EvaluationResult


@dataclass(frozen=True, slots=True)
class Case:
    """A version, as far as it was measured. `missing`: who was asked and has not answered."""

    gates: Gates
    measured: Sequence[Measured]
    missing: Sequence[str] = ()
    probed: Probed | None = None
    seed: int = 0

    @property
    def dice(self) -> Bootstrap:
        return Bootstrap(self.seed, self.gates.confidence)

    @property
    def whole(self) -> EvaluationResult | None:
        """All test data together."""
        return pool(one.result for one in self.measured) if self.measured else None

    def gain_of(self, one: Measured) -> tuple[Interval | None, bool]:
        """How much better than the reference on one's data, and whether example by example."""
        return self._gain(one.result, one.before)

    @property
    def gain(self) -> tuple[Interval | None, bool]:
        """The same over all test data together."""
        if self.whole is None:
            return None, False
        known = [one.before for one in self.measured if one.before is not None]
        before = pool(known) if len(known) == len(self.measured) else None
        return self._gain(self.whole, before)

    def _gain(
        self, result: EvaluationResult, before: EvaluationResult | None
    ) -> tuple[Interval | None, bool]:
        if result.paired is not None:
            settings = {"seed": self.seed, "confidence": self.gates.confidence}
            return paired_interval(result.paired, terms_of(result), **settings), True  # type: ignore[arg-type]
        return (self._gain_apart(result, before) if before else None), False

    def _gain_apart(self, result: EvaluationResult, before: EvaluationResult) -> Interval | None:
        if result.correct is not None and before.correct is not None:
            pairs = (result.correct, result.examples), (before.correct, before.examples)
            return self.dice.of_shares_apart(*pairs)
        ours, theirs = self.loss_of(result), self.loss_of(before)
        return self.dice.of_means_apart(theirs, ours)

    def loss_of(self, result: EvaluationResult) -> Interval:
        """The mean loss; as a point where nothing says how sure it is."""
        if result.spread is None:
            return Interval(value := mean_loss(result), value, value)
        return self.dice.of_mean(result.loss_sum, terms_of(result), result.spread)

    def accuracy_of(self, result: EvaluationResult) -> Interval | None:
        if result.correct is None:
            return None
        return self.dice.of_share(result.correct, result.examples)


def terms_of(result: EvaluationResult) -> int:
    """What a mean loss is over: examples where there are labels, else predicted tokens."""
    return result.examples if accuracy(result) is not None else result.tokens or result.examples


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate says, with its figures; `who`: the organisation or the labels it is about."""

    verdict: Verdict
    bound: float
    is_least: bool  # whether the bound is from below
    is_share: bool  # a share, written in percent; else a loss
    is_change: bool = False  # against the reference
    found: Interval | None = None
    is_paired: bool = False
    is_sure: bool = True  # the whole interval is on one side of the bound
    who: str = ""
    why: str = ""  # of what is unknown
    blocks: bool = False

    @property
    def margin(self) -> float:
        """How far inside of the bound; the worst is the smallest."""
        if self.found is None:
            return 0.0
        return (self.found.value - self.bound) * (1 if self.is_least else -1)


class Gate(Protocol):
    def judge(self, case: Case) -> Judgement:
        """The gate's word on a version; the same whenever it is asked."""


gates: Registry[type[Gate]] = Registry("gate")
"""By the name of the plan's field that asks for it, whose value is the first of its fields."""


def weighed(asked: Judgement, found: Interval | None, case: Case, why: str) -> Judgement:
    """Set a figure against the bound. What is not there blocks, and `why` says what it is."""
    if found is None:
        return replace(asked, verdict=Verdict.UNKNOWN, why=why, blocks=True)
    sign = 1 if asked.is_least else -1
    edges = sorted(sign * (edge - asked.bound) + SLACK for edge in (found.lower, found.upper))
    is_within = sign * (found.value - asked.bound) + SLACK >= 0
    is_sure = edges[0] >= 0 or edges[1] < 0
    is_open = not is_sure or bool(case.missing and is_within)
    verdict = Verdict.PASS if is_within else Verdict.FAIL
    if is_open and case.gates.doubt != "measured":
        verdict = Verdict.UNKNOWN
    blocks = verdict == Verdict.FAIL or (verdict == Verdict.UNKNOWN and case.gates.doubt == "block")
    return replace(asked, verdict=verdict, found=found, is_sure=is_sure, blocks=blocks)
