"""A version has not forgotten what the base model could do, as far as the probe set shows it."""

from __future__ import annotations

from dataclasses import dataclass

from federation.gates.base import Case, Judgement, Verdict, gates, weighed
from federation.intervals import Interval


@gates.register("forgotten_at_most")
@dataclass(frozen=True, slots=True)
class ForgottenAtMost:
    most: float

    def judge(self, case: Case) -> Judgement:
        asked = Judgement(
            Verdict.UNKNOWN, self.most, is_least=False, is_share=False, is_change=True
        )
        why = "the hub has not measured it and its base on a probe set"
        return weighed(asked, self._found(case), case, why)

    def _found(self, case: Case) -> Interval | None:
        if case.probed is None:
            return None
        version, base = case.loss_of(case.probed.version), case.loss_of(case.probed.base)
        return case.dice.of_means_apart(version, base)
