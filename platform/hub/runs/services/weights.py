"""What each update of a round counts, before any rule judges it."""

from __future__ import annotations

from math import sqrt

from federation.plan import Plan
from hub.runs.models import Update
from hub.runs.services.memories import is_controlled


def weight_of(update: Update, plan: Plan) -> float:
    """The examples, and the less of them the staler: by 1/√(1+s), FedBuff's (arXiv:2106.06639).

    With control variates each counts as one, as in their mean: so both agree on what the run is to
    find, the least mean loss of its organisations.

    We differ from the paper in that the weights of a round are divided by their sum, not by the
    number of updates: a round of stale ones moves the model as far as one of fresh ones.

    Needs `round` and `counted_in`.
    """
    if is_controlled(plan):
        return 1.0
    return update.examples / sqrt(1 + update.staleness)


def is_root(update: Update, plan: Plan) -> bool:
    """Whether the update is the one that judges the others, and does not count itself."""
    return update.participation.organisation.slug == plan.aggregation.root
