"""Rounds open only with organisations that have signed the federation's present charter.

A run that may not open its next round waits, without a round and so without a deadline. The last
signature lets it go on, and so does a sweep, should somebody have left instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, Q, QuerySet
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from hub.catalogue.errors import LicencesMissing
from hub.catalogue.selectors import unaccepted_by
from hub.common.languages import on_record
from hub.common.wakeups import wake
from hub.federations.charters.selectors import unsigned_in
from hub.federations.errors import CharterUnsigned, FederationPaused
from hub.federations.models import FederationState, Participation, ParticipationState
from hub.ledger.selectors import is_stopped
from hub.runs.models import Run, RunState
from hub.runs.services.locks import database_now


def awaited_by(run: Run) -> list[Participation]:
    """Members that train or evaluate in the run and have not signed the present charter."""
    return list(unsigned_in(run.federation_id).filter(pk__in={*run.trainers, *run.evaluators}))


def awaited_sentence(awaited: Sequence[Participation]) -> str:
    """Completes «the run waits for …»; one sentence's end, without a full stop."""
    names = get_text_list([place.organisation.name for place in awaited], _("and"))
    return _("%(names)s to sign the present charter") % {"names": names}


def waiting_sentence(run: Run) -> str:
    """For whom a run waits; empty: for nobody."""
    if is_stopped(run.federation_id):
        return _("The ledger takes no entries. When an operator has seen to that, the run goes on.")
    if run.waiting_since and run.federation.is_paused:
        return _("It waits until an operator resumes the federation, and then goes on by itself.")
    awaited = awaited_by(run) if run.waiting_since else ()
    if awaited:
        return _("It waits for %(awaited)s, and then goes on by itself.") % {
            "awaited": awaited_sentence(awaited)
        }
    return ""


def require_accepted(run: Run) -> None:
    """Raises LicencesMissing: somebody who takes part has not accepted the base's licence."""
    base = run.federation.base_model
    places = Participation.objects.filter(pk__in=[*run.trainers, *run.evaluators])
    missing = unaccepted_by(base, places.values("organisation"))
    if missing:
        raise LicencesMissing(
            _("%(missing)s must accept %(licence)s of %(name)s first")
            % {"missing": ", ".join(missing), "licence": base.licence, "name": base.name},
            organisations=missing,
        )


def require_signed(run: Run) -> None:
    """Raises CharterUnsigned: somebody who takes part has not signed the present charter."""
    awaited = awaited_by(run)
    if awaited:
        names = [place.organisation.name for place in awaited]
        raise CharterUnsigned(
            _("The run waits for %(awaited)s.") % {"awaited": awaited_sentence(awaited)},
            organisations=names,
        )


def require_unpaused(run: Run) -> None:
    """Raises FederationPaused."""
    if run.federation.is_paused:
        raise FederationPaused(
            _("%(name)s goes on when an operator resumes it.") % {"name": run.federation.name}
        )


def is_let_open(run: Run) -> bool:
    """Whether the next round may open now; if not, the run says from now on for whom it waits.

    The run is locked by the caller.
    """
    awaited = awaited_by(run)
    is_held = bool(awaited) or run.federation.is_paused
    if is_held == bool(run.waiting_since):
        return not is_held
    run.waiting_since = database_now() if is_held else None
    run.save(update_fields=["waiting_since"])
    if is_held:
        run.record("waiting", reason=_waits_for(awaited), data={"run": run.name})
        wake(f"run:{run.pk}", f"federation:{run.federation_id}")
    return not is_held


@on_record()
def _waits_for(awaited: Sequence[Participation]) -> str:
    return f"for {awaited_sentence(awaited)}" if awaited else "for the federation to go on"


def waiting_runs(federation_id: UUID) -> list[UUID]:
    """Those of a federation that wait for signatures, or did until now."""
    waiting = Run.objects.filter(
        federation=federation_id, state=RunState.RUNNING, waiting_since__isnull=False
    )
    return list(waiting.order_by("pk").values_list("pk", flat=True))


def signed_runs() -> QuerySet[Run]:
    """Runs that wait for signatures, of which none is missing any more."""
    unsigned = ArraySubquery(
        Participation.objects.filter(
            federation=OuterRef("federation"), state=ParticipationState.ACTIVE
        )
        .exclude(charter_number=F("federation__charter_number"))
        .order_by()
        .values("pk")
    )
    waiting = Run.objects.filter(
        state=RunState.RUNNING,
        waiting_since__isnull=False,
        federation__state=FederationState.ACTIVE,
    )
    lacking = Q(trainers__overlap=unsigned) | Q(evaluators__overlap=unsigned)
    return waiting.exclude(lacking).order_by("waiting_since")
