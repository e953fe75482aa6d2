"""The accuracy over all test data together has a floor."""

from __future__ import annotations

from dataclasses import dataclass

from federation.gates.base import Case, Judgement, Verdict, gates, weighed


@gates.register("accuracy_at_least")
@dataclass(frozen=True, slots=True)
class AccuracyAtLeast:
    bound: float

    def judge(self, case: Case) -> Judgement:
        asked = Judgement(Verdict.UNKNOWN, self.bound, is_least=True, is_share=True)
        found = case.accuracy_of(case.whole) if case.whole else None
        return weighed(asked, found, case, "nobody has measured it")
