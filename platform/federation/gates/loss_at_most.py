"""The mean loss over all test data together has a ceiling."""

from __future__ import annotations

from dataclasses import dataclass

from federation.gates.base import Case, Judgement, Verdict, gates, weighed


@gates.register("loss_at_most")
@dataclass(frozen=True, slots=True)
class LossAtMost:
    bound: float

    def judge(self, case: Case) -> Judgement:
        asked = Judgement(Verdict.UNKNOWN, self.bound, is_least=False, is_share=False)
        found = case.loss_of(case.whole) if case.whole else None
        return weighed(asked, found, case, "nobody has measured it")
