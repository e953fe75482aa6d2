"""What joining is worth: each organisation of a run trains alone, as long as all of it lasted.

A comparison is a run like any other (docs/adr/0005-comparisons-are-runs.md): one trainer, one
task with the steps of all rounds, from the same start, measured by everybody who measured the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import ValidationError

from federation.plan import Plan
from federation.terms import TERMS
from hub.accounts.models import User
from hub.federations.models import Participation, ParticipationState
from hub.federations.selectors import require_place
from hub.organisations.permissions import Permission
from hub.runs.errors import NotComparable
from hub.runs.models import Purpose, Run, RunState
from hub.runs.services.lifecycle import create_run, start_run
from hub.runs.services.locks import lock_run

LONGEST_SECONDS = 30 * 86400
MOST_EPOCHS, MOST_STEPS = 100, 1_000_000
NAME_LENGTH = 120


@transaction.atomic
def train_alone(*, user: User, run_id: UUID) -> list[Run]:
    """Start a run for each organisation that trained, in the order in which they joined.

    Asked again, those that are there stay; who failed, or was stopped, begins anew.

    Raises:
        NotFound: it is not there, or not the user's to see.
        NotComparable: it is a comparison itself, has not ended well, or was never measured.
    """
    run = lock_run(run_id)
    require_place(user, run.federation_id, Permission.START_RUNS)
    plan = alone_plan(_comparable(run))
    return [_one(user, run, plan, place) for place in _trainers(run)]


def _comparable(run: Run) -> Plan:
    if run.purpose != Purpose.FEDERATED:
        raise NotComparable(_("%(name)s is a comparison itself.") % {"name": run.name})
    if run.state != RunState.COMPLETED:
        raise NotComparable(
            _("%(name)s is %(state)s; it has to be complete.")
            % {"name": run.name, "state": run.get_state_display()}
        )
    if run.typed_plan.evaluation.every == "never":
        raise NotComparable(_("%(name)s was never measured.") % {"name": run.name})
    return run.typed_plan


def alone_plan(plan: Plan) -> Plan:
    """The same work for one organisation by itself: no peers, no server, one task if possible."""
    document: dict[str, Any] = plan.model_dump(mode="json")
    for part in ("server", "gates", "valuation", "rewards"):
        document.pop(part, None)
    rounds = document["rounds"]
    rounds |= {"quorum": 1, "late": "refuse"}
    rounds.pop("buffer", None)
    document |= {
        "aggregation": {"strategy": plan.aggregation.strategy},
        "evaluation": {"every": "last"},
    }
    if _fits_one_task(plan):
        document["training"] |= _all_at_once(plan)
        seconds = rounds["deadline_seconds"] * plan.rounds.count
        rounds |= {"count": 1, "deadline_seconds": min(seconds, LONGEST_SECONDS)}
    try:
        return Plan.model_validate_json(json.dumps(document))
    except ValidationError as refused:
        raise NotComparable(str(refused.errors()[0]["msg"])) from refused


def _fits_one_task(plan: Plan) -> bool:
    """Whether rounds can be laid together: not where they take turns with the factors."""
    training, count = plan.training, plan.rounds.count
    is_alike = len(TERMS[plan.aggregation.strategy].rounds) == 1
    steps = (training.max_steps or 0) * count
    return is_alike and training.epochs * count <= MOST_EPOCHS and steps <= MOST_STEPS


def _all_at_once(plan: Plan) -> Mapping[str, float | None]:
    training, count = plan.training, plan.rounds.count
    steps = training.max_steps and training.max_steps * count
    return {"epochs": training.epochs * count, "max_steps": steps}


def _trainers(run: Run) -> Iterable[Participation]:
    """Those who trained and still take part."""
    return (
        Participation.objects.filter(pk__in=run.trainers, state=ParticipationState.ACTIVE)
        .select_related("organisation")
        .order_by("created_at", "pk")
    )


def _one(user: User, run: Run, plan: Plan, place: Participation) -> Run:
    there = run.comparisons.filter(trainers=[place.pk])
    known = there.exclude(state__in=(RunState.FAILED, RunState.CANCELLED)).first()
    if known is not None:
        return known
    beside = f" alone, beside {run.name}"
    made = create_run(
        user=user,
        federation_id=run.federation_id,
        name=f"{place.organisation.name[: NAME_LENGTH - len(beside)]}{beside}"[:NAME_LENGTH],
        plan=plan,
        purpose=Purpose.SOLO,
        trainers=[place.pk],
        evaluators=_evaluators(run),
        parent_version_id=run.parent_version_id,
    )
    made.compared_with = run
    made.save(update_fields=["compared_with"])
    return start_run(user=user, run_id=made.pk)


def _evaluators(run: Run) -> list[UUID]:
    present = Participation.objects.filter(pk__in=run.evaluators, state=ParticipationState.ACTIVE)
    return list(present.values_list("pk", flat=True))
