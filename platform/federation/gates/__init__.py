"""Gates that a version passes before it is released; one file each."""

from __future__ import annotations

from collections.abc import Iterator

from federation.gates import (
    accuracy_at_least,
    below_release,
    forgotten,
    loss_at_most,
    organisation_below_release,
    tail_recall,
)
from federation.gates.base import Case, Gate, Judgement, Measured, Probed, Verdict, gates

__all__ = [
    "Case",
    "Gate",
    "Judgement",
    "Measured",
    "Probed",
    "Verdict",
    "accuracy_at_least",
    "below_release",
    "forgotten",
    "gates",
    "judgements",
    "loss_at_most",
    "organisation_below_release",
    "tail_recall",
]


def judgements(case: Case) -> Iterator[tuple[str, Judgement]]:
    """What each gate that the plan asks for says, by its name, in the plan's order."""
    for name in type(case.gates).model_fields:
        bound = getattr(case.gates, name)
        if name in gates and bound is not None:
            yield name, gates[name](bound).judge(case)  # type: ignore[call-arg]
