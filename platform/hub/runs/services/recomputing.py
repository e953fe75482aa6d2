"""A closed round computed again: to see that it comes out the same, or what else would have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from federation.plan import canonical
from hub.accounts.models import User
from hub.common.actors import HUB, Actor
from hub.common.errors import Invalid, NotFound
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.selectors import require_place
from hub.organisations.permissions import Permission
from hub.runs.errors import RoundOpen
from hub.runs.methods import Variation, in_words, with_method
from hub.runs.models import Recomputation, RecomputationState, Round, RoundState
from hub.runs.selectors import methods_for
from hub.runs.services.claims import MOST_ATTEMPTS, Claim, claim_of
from hub.runs.services.locks import database_now, lock_round
from hub.runs.services.memories import remembered
from hub.runs.services.rounds import counted_updates

KEPT = ("relative_error", "discarded_energy", "ranks", "weights", "seconds")  # of a report
WAITING = RecomputationState.QUEUED
WITHOUT = "without"  # whose updates are left out: a participation, in a row's `method`
SAME, OTHER = "the same bytes", "other bytes than were published"


@dataclass(frozen=True, slots=True)
class Wanted:
    """As a `Variation` says what is computed."""

    key: str
    method: dict[str, Any]
    digest: str
    is_own: bool = False


@transaction.atomic
def recompute_round(*, user: User, round_id: UUID, keys: Sequence[str]) -> list[Recomputation]:
    """Have a closed round computed with other methods; what has been computed stays.

    Raises:
        NotFound: the round is not one of the person's federations.
        RoundOpen: it has not closed.
        Invalid: one of the methods cannot aggregate this round's updates.
    """
    current = lock_round(round_id)
    require_place(user, current.run.federation_id, Permission.START_RUNS)
    known = _methods(current)
    if unknown := [key for key in keys if key not in known]:
        raise Invalid(
            _("%(value)s is not among: %(known)s")
            % {"value": unknown[0], "known": ", ".join(known)}
        )
    return [_ask(current, known[key], user.actor) for key in dict.fromkeys(keys)]


@transaction.atomic
def recompute_without(*, user: User, round_id: UUID, participation_id: UUID) -> Recomputation:
    """Have a closed round computed without one organisation's updates. Twice is once.

    Like other recomputations it leaves figures, and what it achieves on the run's probe set.

    Raises:
        NotFound: the round is not one of the person's federations.
        RoundOpen: it has not closed.
        Invalid: nothing of that organisation counted in it, or nothing of others.
    """
    current = lock_round(round_id)
    require_place(user, current.run.federation_id, Permission.START_RUNS)
    own = next(iter(_methods(current).values()))
    of_others = [u for u in counted_updates(current) if u.participation_id != participation_id]
    if not 0 < len(of_others) < len(current.frozen):
        raise Invalid(_("A round is computed without one of several whose updates counted in it."))
    place = current.run.federation.participations.select_related("organisation")
    name = place.get(pk=participation_id).organisation.slug
    method = {**own.method, WITHOUT: str(participation_id)}
    digest = hashlib.sha256(canonical(method)).hexdigest()
    wanted = Wanted(key=f"without {name}"[:120], method=method, digest=digest)
    return _ask(current, wanted, user.actor)


@transaction.atomic
def replay_round(*, round_id: UUID, user: User | None = None) -> Recomputation:
    """Have a closed round computed again by its own method, from the stored updates alone.

    Without `user` an operator asks. Raises what `recompute_round` raises.
    """
    current = lock_round(round_id)
    if user is not None:
        require_place(user, current.run.federation_id, Permission.START_RUNS)
    own = next(iter(_methods(current).values()))
    return _ask(current, own, user.actor if user else HUB)


def _methods(current: Round) -> dict[str, Variation]:
    if current.state != RoundState.CLOSED:
        raise RoundOpen(
            _("round %(number)s is %(state)s") % {"number": current.number, "state": current.state}
        )
    return methods_for(current)


def _ask(current: Round, wanted: Variation | Wanted, actor: Actor) -> Recomputation:
    """Queue it, unless it is queued or known already; a replay or what failed is done again."""
    found, is_new = Recomputation.objects.select_for_update().get_or_create(
        round=current,
        method_digest=wanted.digest,
        defaults={"key": wanted.key, "method": wanted.method, "is_own": wanted.is_own},
    )
    found.round = current
    is_known = found.state == RecomputationState.COMPUTED and not found.is_own
    if not is_new and (found.state == WAITING or is_known):
        return found
    if is_new:
        found.record(WAITING, actor=actor, data=_names(found))
    else:
        found.move_to(WAITING, actor=actor, attempts=0, data=_names(found))
    enqueue(Job.RECOMPUTE_ROUND, str(found.pk))
    return found


@transaction.atomic
def begin_recomputation(*, recomputation_id: UUID) -> Claim | None:
    """What a worker needs for it; nothing where it is done. Two at once do it twice, the same.

    A replay reads nothing but the updates; other methods take the evidence that is there.
    """
    found = _lock(recomputation_id)
    if found.state != WAITING:
        return None
    if found.attempts >= MOST_ATTEMPTS:
        _fail(found, code="gave_up", reason=f"computing died {MOST_ATTEMPTS} times")
        return None
    found.attempts += 1
    found.save(update_fields=["attempts"])
    current = found.round
    left_out = found.method.get(WITHOUT)
    updates = [u for u in counted_updates(current) if str(u.participation_id) != left_out]
    claim = claim_of(current, updates)
    own = claim.plan
    is_same = found.is_own or left_out is not None
    plan = own if is_same else with_method(own, found.method, len(claim.updates))
    is_same_strategy = plan.aggregation.strategy == own.aggregation.strategy
    return replace(
        claim,
        plan=plan,
        evidence=None if found.is_own else claim.evidence,
        optimiser_state=remembered(current) if is_same_strategy else None,
    )


@transaction.atomic
def record_recomputation(
    *,
    recomputation_id: UUID,
    digest: str,
    size_bytes: int,
    report: Mapping[str, Any],
    probe: Mapping[str, Any] | None = None,
) -> None:
    """Keep what came of it, and what it achieves on the run's probe set, if that has one.

    Recorded again, the first stands.
    """
    found = _lock(recomputation_id)
    if found.state != WAITING:
        return
    if found.is_own and is_reproduced(found, digest) and not _remembers_the_same(found, report):
        reason = "the adapter has the same bytes, and what the server remembers has others"
        _fail(found, code="state_differs", reason=reason)
        return
    outcome = {"outcome": SAME if is_reproduced(found, digest) else OTHER} if found.is_own else {}
    found.move_to(
        RecomputationState.COMPUTED,
        digest=digest,
        size_bytes=size_bytes,
        report={name: report[name] for name in KEPT} | ({"probe": dict(probe)} if probe else {}),
        failure_code="",
        failure_detail="",
        ended_at=database_now(),
        data={**_names(found), **outcome},
    )
    wake(f"run:{found.round.run_id}")


def is_reproduced(found: Recomputation, digest: str) -> bool:
    """Whether these are the bytes that the round published."""
    version = found.round.version
    return version is not None and version.adapter_id == digest


def _remembers_the_same(found: Recomputation, report: Mapping[str, Any]) -> bool:
    version = found.round.version
    return version is not None and version.optimiser_state_id == report["state"]


@transaction.atomic
def fail_recomputation(*, recomputation_id: UUID, code: str, reason: str) -> None:
    """The method refuses these updates."""
    found = _lock(recomputation_id)
    if found.state == WAITING:
        _fail(found, code=code, reason=reason)


def _fail(found: Recomputation, *, code: str, reason: str) -> None:
    found.move_to(
        RecomputationState.FAILED,
        reason=reason,
        failure_code=code,
        failure_detail=reason[:500],
        ended_at=database_now(),
        data=_names(found),
    )
    wake(f"run:{found.round.run_id}")


def _lock(recomputation_id: UUID) -> Recomputation:
    ids = Recomputation.objects.filter(pk=recomputation_id).values_list("round_id", flat=True)
    if not (round_id := ids.first()):
        raise NotFound("no such recomputation")
    current = lock_round(round_id)
    found = Recomputation.objects.select_for_update(of=("self",)).get(pk=recomputation_id)
    found.round = current
    return found


def _names(found: Recomputation) -> dict[str, Any]:
    return {
        "round": found.round.number,
        "run": found.round.run.name,
        "method": "its own method" if found.is_own else in_words(found.key),
    }
