"""The labels that are recognised least have a floor: their mean recall."""

from __future__ import annotations

from dataclasses import dataclass

from federation.figures import tail
from federation.gates.base import Case, Judgement, Verdict, gates, weighed
from federation.intervals import Interval


@gates.register("tail_recall_at_least")
@dataclass(frozen=True, slots=True)
class TailRecallAtLeast:
    """Which labels are the worst is taken as found, so the interval is that of these labels."""

    bound: float

    def judge(self, case: Case) -> Judgement:
        asked = Judgement(Verdict.UNKNOWN, self.bound, is_least=True, is_share=True)
        return weighed(asked, self._found(case), case, "nobody has counted it by label")

    def _found(self, case: Case) -> Interval | None:
        if case.whole is None or not case.whole.confusion:
            return None
        worst = tail(case.whole.confusion, case.gates.tail_labels)
        return case.dice.of_mean_share([(one.right, one.examples) for one in worst])
