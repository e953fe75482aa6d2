"""The end of a valuation: values from what was measured, and their entry in the ledger."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from federation import valuation as pure
from federation.valuation.documents import document_of
from hub.contributions.models import Valuation, ValuationState, Value
from hub.contributions.valuations.entries import append_valuation
from hub.contributions.valuations.life import fail_locked, lock_valuation, names_of, tell
from hub.contributions.valuations.measuring import ask_workers, unmeasured, waiting_rows
from hub.contributions.valuations.members import are_all_in, seconds_at_sites
from hub.contributions.valuations.rows import evidence_of, game_of, table_of
from hub.contributions.valuations.wanting import want_more
from hub.dispatch import Job, enqueue
from hub.runs.services.locks import database_now


@dataclass(frozen=True, slots=True)
class Complete:
    """All that a valuation follows from."""

    valuation_id: UUID
    method: str
    game: pure.Valuation
    table: pure.Table

    @property
    def document(self) -> dict[str, Any]:
        return document_of(self.method, self.game, self.table)


@transaction.atomic
def next_step(*, valuation_id: UUID) -> Complete | None:
    """Have measured what is wanted next; once nothing is, what the values follow from.

    Called by anybody, at any time, any number of times.
    """
    found = lock_valuation(valuation_id)
    if found.state != ValuationState.MEASURING:
        return None
    tell(found)
    try:
        if _goes_on(found):
            return None
        return Complete(found.pk, found.method, game_of(found), table_of(found))
    except pure.ValuationRefused as refused:
        fail_locked(found, code=refused.code, reason=refused.detail)
        return None


def _goes_on(found: Valuation) -> bool:
    """Whether something is still to be measured; asks for it. Raises ValuationRefused."""
    if found.spec["probe"] == "members" and evidence_of(found.method) != "cosines":
        return not are_all_in(found)
    if unmeasured(found).exists():
        if waiting_rows(found).exists():
            enqueue(Job.VALUE_ROUND, str(found.pk))
        return True
    if want_more(found):
        ask_workers(found)
        return True
    return False


@transaction.atomic
def record_values(*, complete: Complete, valued: pure.Valued) -> None:
    """Keep what follows, and tell the federation's ledger; recorded again, the first stands."""
    found = lock_valuation(complete.valuation_id)
    if found.state != ValuationState.MEASURING:
        return
    values = [
        _value(found, player, one, valued.shaken.get(player, ()))
        for player, one in valued.contributions.items()
    ]
    Value.objects.bulk_create(values)
    found.move_to(
        ValuationState.RECORDED,
        worth=valued.worth,
        gap=valued.gap,
        evaluations=valued.evaluations,
        seconds=found.seconds + seconds_at_sites(found),
        stacked=None,
        ended_at=database_now(),
        data={**names_of(found), "evaluations": valued.evaluations},
    )
    append_valuation(found, complete.document, values)
    tell(found)


def _value(found: Valuation, player: str, one: pure.Contribution, again: Any) -> Value:
    return Value(
        valuation=found,
        participation_id=UUID(player),
        phi=one.value,
        low=one.lower,
        high=one.upper,
        by_owner=_named(one.by_owner),
        shaken=array("d", again).tobytes(),
    )


def _named(by_owner: Mapping[str | None, float]) -> dict[str, float]:
    """JSON has no key that is nobody."""
    return {owner or "public": value for owner, value in by_owner.items()}
