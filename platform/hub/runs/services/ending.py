"""What ends because of a decision about a federation: its runs, and places that wish to leave."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from hub.common.actors import HUB
from hub.federations.leaving import leave_as_wished, leaving
from hub.federations.models import Federation, FederationState, Participation
from hub.runs.errors import RoundFrozen
from hub.runs.models import Run, RunState, Task
from hub.runs.selectors import ACTIVE_ROUNDS
from hub.runs.services.lifecycle import cancel
from hub.runs.services.locks import lock_run

logger = logging.getLogger(__name__)
BATCH = 100
ENDED = (RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED)
DISSOLVED = "the federation was dissolved"


def end_runs(*, federation_id: UUID) -> int:
    """Cancel the runs of a dissolved federation, one after the other; returns how many.

    A round that is being aggregated comes to its end first; the sweep calls again.
    """
    over = Federation.objects.filter(pk=federation_id, state=FederationState.DISSOLVED)
    if not over.exists():
        return 0
    runs = Run.objects.filter(federation=federation_id).exclude(state__in=ENDED)
    return sum(_end(run) for run in runs.order_by("number").values_list("pk", flat=True))


def _end(run_id: UUID) -> bool:
    try:
        with transaction.atomic():
            run = lock_run(run_id)
            if not run.is_final:
                cancel(run, actor=HUB, reason=DISSOLVED)
            return True
    except RoundFrozen as later:
        logger.info("cancelled later", extra={"run": run_id, "cause": later.code})
        return False


def end_what_is_due() -> None:
    """Runs of dissolved federations, and places whose round has ended. Twice at once is once."""
    left = Run.objects.exclude(state__in=ENDED).filter(federation__state=FederationState.DISSOLVED)
    for federation_id in left.values_list("federation", flat=True).distinct()[:BATCH]:
        end_runs(federation_id=federation_id)
    for place in free_to_leave(leaving()).values_list("pk", flat=True)[:BATCH]:
        leave_as_wished(participation_id=place)


def free_to_leave(places: QuerySet[Participation]) -> QuerySet[Participation]:
    """Those of some places that have a part in no round that is under way."""
    under_way = Task.objects.filter(
        participation=OuterRef("pk"),
        round__state__in=ACTIVE_ROUNDS,
        round__run__state__in=(RunState.RUNNING, RunState.PAUSED),
    )
    return places.filter(~Exists(under_way)).order_by("leaving_since")
