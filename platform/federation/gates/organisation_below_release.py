"""On no organisation's test data is a version much worse than what is released."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from federation.gates.base import Case, Judgement, Verdict, gates, weighed
from federation.gates.below_release import NOT_COMPARED, asked_of_change

ORDER = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS)


@gates.register("organisation_below_release_at_most")
@dataclass(frozen=True, slots=True)
class OrganisationBelowReleaseAtMost:
    """The word on the organisation that fares worst; who cannot be compared is passed over."""

    most: float

    def judge(self, case: Case) -> Judgement:
        each = sorted(self._each(case), key=lambda one: (ORDER.index(one.verdict), one.margin))
        return each[0] if each else weighed(self._asked(case), None, case, NOT_COMPARED)

    def _each(self, case: Case) -> Iterator[Judgement]:
        for one in case.measured:
            gain, is_paired = case.gain_of(one)
            if gain is not None:
                asked = replace(self._asked(case), who=one.name, is_paired=is_paired)
                yield weighed(asked, gain, case, NOT_COMPARED)

    def _asked(self, case: Case) -> Judgement:
        return asked_of_change(self.most, case)
