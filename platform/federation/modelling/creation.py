"""The adapter a run starts from."""

from __future__ import annotations

from pathlib import Path

import torch

from federation.modelling.adapting import adapted, keep
from federation.modelling.loading import forked_random, load_base, needs_of
from federation.modelling.middles import draw
from federation.plan import Plan
from federation.terms import TERMS


def create_adapter(*, base: Path, plan: Plan, target: Path) -> None:
    """Write the initial adapter at the plan's rank. But for a learnt prompt, nothing changes yet.

    What is random in it, and a head that the base lacks, are drawn from the plan's seed; the same
    plan and base give the same bytes. Raises `ModellingRefused`.
    """
    cpu = torch.device("cpu")
    with forked_random(cpu):
        torch.manual_seed(plan.seed)
        fresh = load_base(base, needs_of(plan), cpu)
        parameters = adapted(fresh, plan, rank=plan.adapter.rank).parameters
        if TERMS[plan.aggregation.strategy].has_middle:
            draw(parameters)
        keep(parameters, target)
