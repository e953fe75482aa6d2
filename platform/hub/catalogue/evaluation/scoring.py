"""What adapters achieve on probe sets: asked for once, measured by a worker, kept for good."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from federation.plan import Plan
from federation.protocol import EvaluationResult
from hub.accounts.models import User
from hub.catalogue.evaluation.gating import judge_again
from hub.catalogue.evaluation.probes import measured_as
from hub.catalogue.models import Artifact, Probe, ProbeScore, ProbeScoreState
from hub.common.errors import NotFound
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.selectors import federations_of

MOST_ATTEMPTS = 5  # a measurement that kills its worker so often is given up
SUMS = ("examples", "correct", "tokens", "loss_sum")
WAITING = ProbeScoreState.QUEUED


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a worker needs for one score."""

    score_id: UUID
    probe: Probe
    plan: Plan
    adapter: str  # sha256


@transaction.atomic
def ask_score(
    *, probe: Probe, adapter: Artifact, plan: Plan, about: str, is_base: bool = False
) -> ProbeScore:
    """Have an adapter measured, unless it has been or waits; what failed is tried again."""
    found, is_new = ProbeScore.objects.select_for_update(of=("self",)).get_or_create(
        probe=probe,
        adapter=adapter,
        measured_as=measured_as(plan),
        defaults={
            "plan": plan.model_dump(mode="json"),
            "about": about[:200],
            "is_base": is_base,
        },
    )
    if found.state == ProbeScoreState.FAILED:
        found.probe = probe
        found.move_to(WAITING, attempts=0, failure_code="", failure_detail="", data=_names(found))
    elif not is_new:
        return found
    enqueue(Job.MEASURE_ON_PROBE, str(found.pk))
    return found


@transaction.atomic
def begin_score(*, score_id: UUID) -> Measurement | None:
    """What is to be measured; nothing where it has been. Two at once find the same."""
    found = _lock(score_id)
    if found.state != WAITING:
        return None
    if found.attempts >= MOST_ATTEMPTS:
        _fail(found, code="gave_up", reason=f"measuring died {MOST_ATTEMPTS} times")
        return None
    found.attempts += 1
    found.save(update_fields=["attempts"])
    plan = Plan.model_validate_json(json.dumps(found.plan))
    return Measurement(found.pk, found.probe, plan, found.adapter_id)


@transaction.atomic
def record_score(*, score_id: UUID, found: EvaluationResult, seconds: float) -> None:
    """Keep what was found; recorded again, the first stands."""
    score = _lock(score_id)
    if score.state != WAITING:
        return
    score.move_to(
        ProbeScoreState.COMPUTED,
        **{name: getattr(found, name) for name in SUMS},
        statistics=found.model_dump(mode="json", exclude={"name", *SUMS}),
        seconds=seconds,
        ended_at=timezone.now(),
        data=_names(score),
    )
    judge_again(adapter_id=score.adapter_id)
    wake(f"federation:{score.probe.federation_id}")


@transaction.atomic
def fail_score(*, score_id: UUID, code: str, reason: str) -> None:
    """It cannot be measured, and trying again would not help."""
    found = _lock(score_id)
    if found.state == WAITING:
        _fail(found, code=code, reason=reason)


def _fail(found: ProbeScore, *, code: str, reason: str) -> None:
    found.move_to(
        ProbeScoreState.FAILED,
        reason=reason,
        failure_code=code,
        failure_detail=reason[:500],
        ended_at=timezone.now(),
        data=_names(found),
    )
    wake(f"federation:{found.probe.federation_id}")


def _lock(score_id: UUID) -> ProbeScore:
    found = (
        ProbeScore.objects.select_related("probe__federation__base_model")
        .select_for_update(of=("self",))
        .filter(pk=score_id)
        .first()
    )
    if found is None:
        raise NotFound("no such measurement")
    return found


def _names(found: ProbeScore) -> dict[str, Any]:
    return {"about": found.about, "probe": found.probe.number}


def scores_visible_to(user: User) -> QuerySet[ProbeScore]:
    return ProbeScore.objects.filter(probe__federation__in=federations_of(user)).select_related(
        "probe"
    )
