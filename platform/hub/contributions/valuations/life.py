"""What every step in the life of a valuation does."""

from __future__ import annotations

from uuid import UUID

from hub.common.errors import NotFound
from hub.common.wakeups import wake
from hub.contributions.models import Valuation, ValuationState
from hub.runs.services.locks import database_now


def lock_valuation(valuation_id: UUID) -> Valuation:
    """The valuation, locked, with its round, run and federation; before its tasks.

    Rows that name it can be written meanwhile. Raises NotFound.
    """
    related = Valuation.objects.select_related(
        "round__run__federation__base_model", "round__version", "probe"
    )
    found = related.select_for_update(of=("self",), no_key=True).filter(pk=valuation_id).first()
    if found is None:
        raise NotFound("no such valuation")
    return found


def fail_locked(found: Valuation, *, code: str, reason: str) -> None:
    """End it with the reason; the rows that were measured stay, for whoever asks again."""
    found.move_to(
        ValuationState.FAILED,
        reason=reason,
        failure_code=code,
        failure_detail=reason[:500],
        stacked=None,
        ended_at=database_now(),
        data={**names_of(found), "code": code},
    )
    tell(found)


def names_of(found: Valuation) -> dict[str, object]:
    return {
        "round": found.round.number,
        "run": found.round.run.name,
        "method": found.method.replace("_", " "),
    }


def tell(found: Valuation) -> None:
    """Have the pages that show it look again."""
    wake(f"run:{found.round.run_id}", f"federation:{found.round.run.federation_id}")
