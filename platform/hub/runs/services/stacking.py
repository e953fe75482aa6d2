"""A closed round taken apart, for those whom the plan lets tell its updates apart."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.models import Artifact
from hub.common.actors import HUB
from hub.common.errors import NotFound
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.selectors import require_place
from hub.runs.errors import NotAttributable, NotStacked, RoundOpen
from hub.runs.models import Round, RoundState
from hub.runs.services.claims import MOST_ATTEMPTS
from hub.runs.services.locks import database_now, lock_round
from hub.runs.stacked_models import Stacking, StackingState


@transaction.atomic
def stack_round(*, round_id: UUID, user: User | None = None) -> Stacking:
    """Have a closed round's stacked adapter made; asked again, what is there stays.

    Without `user` the hub asks, for its own use.

    Raises:
        NotFound: the round is not one of the person's federations.
        NotAttributable: its plan keeps the updates from being told apart.
        RoundOpen: it has not closed.
    """
    current = lock_round(round_id)
    if user is not None:
        require_attributable(user, current)
    if current.state != RoundState.CLOSED:
        raise RoundOpen(
            _("round %(number)s is %(state)s") % {"number": current.number, "state": current.state}
        )
    found, is_new = Stacking.objects.select_for_update().get_or_create(round=current)
    found.round = current
    actor = user.actor if user else HUB
    if is_new:
        found.record(StackingState.QUEUED, actor=actor, data=_names(found))
    elif found.state == StackingState.FAILED:
        found.move_to(StackingState.QUEUED, actor=actor, attempts=0, data=_names(found))
    else:
        return found
    enqueue(Job.STACK_ROUND, str(found.pk))
    return found


def require_attributable(user: User, current: Round) -> None:
    """Raises NotFound, NotAttributable. Needs `run`."""
    require_place(user, current.run.federation_id)
    if not current.run.typed_plan.transfer.attributable:
        raise NotAttributable(_("the plan of its run does not let members tell updates apart"))


def stacked_adapter(*, user: User, current: Round) -> Artifact:
    """The file, for a member.

    Raises:
        NotFound, NotAttributable: it is not theirs to have.
        NotStacked: nobody has had it made, or it is still being made.
    """
    require_attributable(user, current)
    found = Stacking.objects.filter(round=current).select_related("artifact").first()
    if found is None or found.artifact is None:
        raise NotStacked(_("ask for it to be made first"))
    return found.artifact


@transaction.atomic
def begin_stacking(*, stacking_id: UUID) -> Round | None:
    """The round to take apart; nothing where that is done. Two at once make the same bytes."""
    found = _lock(stacking_id)
    if found.state != StackingState.QUEUED:
        return None
    if found.attempts >= MOST_ATTEMPTS:
        _fail(found, code="gave_up", reason=f"stacking died {MOST_ATTEMPTS} times")
        return None
    found.attempts += 1
    found.save(update_fields=["attempts"])
    return found.round


@transaction.atomic
def record_stacking(*, stacking_id: UUID, artifact: Artifact) -> None:
    """Keep what was made; recorded again, the first stands."""
    found = _lock(stacking_id)
    if found.state != StackingState.QUEUED:
        return
    found.move_to(
        StackingState.COMPUTED,
        artifact=artifact,
        failure_code="",
        failure_detail="",
        ended_at=database_now(),
        data=_names(found),
    )
    wake(f"run:{found.round.run_id}")


@transaction.atomic
def fail_stacking(*, stacking_id: UUID, code: str, reason: str) -> None:
    """The updates cannot be laid beside each other."""
    found = _lock(stacking_id)
    if found.state == StackingState.QUEUED:
        _fail(found, code=code, reason=reason)


def _fail(found: Stacking, *, code: str, reason: str) -> None:
    found.move_to(
        StackingState.FAILED,
        reason=reason,
        failure_code=code,
        failure_detail=reason[:500],
        ended_at=database_now(),
        data=_names(found),
    )
    wake(f"run:{found.round.run_id}")


def _lock(stacking_id: UUID) -> Stacking:
    ids = Stacking.objects.filter(pk=stacking_id).values_list("round_id", flat=True)
    if not (round_id := ids.first()):
        raise NotFound("no such stacked adapter")
    current = lock_round(round_id)
    found = Stacking.objects.select_for_update(of=("self",)).get(pk=stacking_id)
    found.round = current
    return found


def _names(found: Stacking) -> dict[str, object]:
    return {"round": found.round.number, "run": found.round.run.name}
