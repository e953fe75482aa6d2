"""Over all test data together, a version is hardly worse than what is released."""

from __future__ import annotations

from dataclasses import dataclass, replace

from federation.gates.base import Case, Judgement, Verdict, gates, weighed

NOT_COMPARED = "nobody has measured it beside the reference"


def asked_of_change(most: float, case: Case) -> Judgement:
    """By how much a version may be worse than the reference: in accuracy, or in mean loss."""
    is_share = case.whole is not None and case.whole.correct is not None
    return Judgement(Verdict.UNKNOWN, -most, is_least=True, is_share=is_share, is_change=True)


@gates.register("below_release_at_most")
@dataclass(frozen=True, slots=True)
class BelowReleaseAtMost:
    most: float

    def judge(self, case: Case) -> Judgement:
        gain, is_paired = case.gain
        asked = replace(asked_of_change(self.most, case), is_paired=is_paired)
        return weighed(asked, gain, case, NOT_COMPARED)
