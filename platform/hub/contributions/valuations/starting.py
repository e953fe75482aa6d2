"""How a valuation begins: asked for by the plan or a person, frozen at once, begun by a worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from federation import valuation as pure
from federation.plan import Plan, canonical
from federation.plan_valuation import ValuationSpec
from hub.accounts.models import User
from hub.catalogue.blobs.artifacts import grant
from hub.catalogue.models import Artifact
from hub.common.actors import HUB
from hub.contributions.errors import NotValuable
from hub.contributions.models import Valuation, ValuationState
from hub.contributions.valuations.life import fail_locked, lock_valuation, names_of, tell
from hub.contributions.valuations.measuring import ask_workers
from hub.contributions.valuations.members import offer_to_members
from hub.contributions.valuations.players import clusters_for, players_of, seed_for
from hub.contributions.valuations.rows import evidence_of
from hub.contributions.valuations.wanting import compare_directions, want_more
from hub.dispatch import Job, enqueue
from hub.federations.selectors import require_place
from hub.organisations.permissions import Permission
from hub.runs.models import Purpose, Round
from hub.runs.services.claims import MOST_ATTEMPTS
from hub.runs.services.locks import database_now, lock_round
from hub.runs.services.probing import probe_of

NO_PROBE = "the federation has no probe set that fits the run"
GAVE_UP = f"measuring died {MOST_ATTEMPTS} times"


def queue_planned(closed: Round) -> None:
    """Have a round valued whose plan asks for it, in the transaction that publishes its version.

    Needs `run.federation`. Queued twice, it is queued once.
    """
    plan, purpose = closed.run.typed_plan, closed.run.purpose
    is_due = plan.valuation.is_due(closed.number, last=plan.rounds.count)
    if is_due and purpose == Purpose.FEDERATED:
        _queue(closed, plan.valuation)


@transaction.atomic
def ask_valuation(*, user: User, round_id: UUID, spec: ValuationSpec) -> Valuation:
    """Have a round of the past valued, beside what its plan asked for.

    Asked again for the same, what is there stays; what failed begins anew.

    Raises:
        NotFound: the round is not one of the person's federations.
        Forbidden: the person does not act for the lead.
        NotValuable: it has no result, or cannot be valued so.
    """
    current = lock_round(round_id)
    require_place(user, current.run.federation_id, Permission.CURATE_VERSIONS)
    if current.version_id is None:
        raise NotValuable(_("round %(number)s has no result") % {"number": current.number})
    _check(current, spec)
    return _queue(current, spec, user)


def _check(current: Round, spec: ValuationSpec) -> None:
    """Raises NotValuable."""
    if not spec.is_asked_for:
        raise NotValuable(_("name a method"))
    plan = current.run.typed_plan
    conflicts = spec.conflicts(
        quorum=len(players_of(current)), is_attributable=plan.transfer.attributable
    )
    for reason in conflicts:
        raise NotValuable(reason)


def _queue(current: Round, spec: ValuationSpec, user: User | None = None) -> Valuation:
    """A case that was opened since about who brought the same makes it another valuation."""
    players = players_of(current)
    clusters = clusters_for(current, players)
    digest = _digest(spec, clusters)
    found = current.valuations.select_for_update().filter(spec_digest=digest).first()
    if found is None:
        frozen = {"spec_digest": digest, "players": players, "clusters": clusters}
        found = _new(current, spec, user, **frozen)
    elif found.state == ValuationState.FAILED:
        found.round = current
        found.move_to(
            ValuationState.QUEUED,
            actor=user.actor if user else HUB,
            attempts=0,
            failure_code="",
            failure_detail="",
            ended_at=None,
            data=names_of(found),
        )
    else:
        return found
    enqueue(Job.VALUE_ROUND, str(found.pk))
    return found


def _digest(spec: ValuationSpec, clusters: list[list[str]]) -> str:
    document = [spec.model_dump(mode="json"), clusters]
    return sha256(canonical(document)).hexdigest()


def _new(current: Round, spec: ValuationSpec, user: User | None, **frozen: Any) -> Valuation:
    """`frozen`: the spec's digest, players and clusters."""
    playing = len(frozen["players"]) - sum(len(each) - 1 for each in frozen["clusters"])
    found = Valuation.objects.create(
        round=current,
        number=(current.valuations.aggregate(last=Max("number"))["last"] or 0) + 1,
        spec=spec.model_dump(mode="json"),
        is_planned=user is None,
        asked_by=user,
        method=spec.method_for(playing)[0],
        seed=seed_for(current, frozen["players"]),
        probe=probe_of(current.run) if spec.probe == "public" else None,
        **frozen,
    )
    actor = user.actor if user else HUB
    found.record(ValuationState.QUEUED, actor=actor, data=names_of(found))
    return found


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a worker makes before anything can be measured."""

    round: Round
    plan: Plan
    needs_stack: bool


@transaction.atomic
def prepare_valuation(*, valuation_id: UUID) -> Preparation | None:
    """What is to be made for a valuation that is queued; nothing where it has begun or ended."""
    found = lock_valuation(valuation_id)
    if found.state != ValuationState.QUEUED:
        return None
    if found.attempts >= MOST_ATTEMPTS:
        fail_locked(found, code="gave_up", reason=GAVE_UP)
        return None
    evidence = evidence_of(found.method)
    if evidence != "cosines" and found.spec["probe"] == "public" and found.probe is None:
        fail_locked(
            found, code="no_probe", reason="the federation has no probe set that fits the run"
        )
        return None
    found.attempts += 1
    found.save(update_fields=["attempts"])
    return Preparation(found.round, found.round.run.typed_plan, evidence != "cosines")


@transaction.atomic
def begin_valuation(*, valuation_id: UUID, stacked: Artifact | None) -> None:
    """Say what is to be measured first, and have others help. Begun twice, it has begun once."""
    found = lock_valuation(valuation_id)
    if found.state != ValuationState.QUEUED:
        return
    plan, now = found.round.run.typed_plan, database_now()
    found.move_to(
        ValuationState.MEASURING,
        stacked=stacked,
        deadline_at=now + timedelta(seconds=plan.rounds.deadline_seconds),
        attempts=0,
        data=names_of(found),
    )
    try:
        _measure_first(found)
    except pure.ValuationRefused as refused:
        fail_locked(found, code=refused.code, reason=refused.detail)
        return
    tell(found)


def _measure_first(found: Valuation) -> None:
    if evidence_of(found.method) == "cosines":
        compare_directions(found)
    elif found.spec["probe"] == "public":
        want_more(found)
        ask_workers(found)
    else:
        assert found.stacked is not None
        grant(artifacts=[found.stacked], federation=found.round.run.federation)
        offer_to_members(found)


@transaction.atomic
def fail_valuation(*, valuation_id: UUID, code: str, reason: str) -> None:
    """It cannot be measured, and trying again would not help. What has ended stays as it is."""
    found = lock_valuation(valuation_id)
    if found.state in {ValuationState.QUEUED, ValuationState.MEASURING}:
        fail_locked(found, code=code, reason=reason)
