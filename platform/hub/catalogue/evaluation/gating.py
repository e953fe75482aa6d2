"""The gates of a plan: judged when a version has been measured, and again before a release."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from federation.gates import Case, Judgement, Measured, Probed, Verdict, judgements
from federation.plan import Plan
from federation.protocol import EvaluationResult
from hub.catalogue.errors import GatesFailed
from hub.catalogue.evaluation.gatewords import in_words, title_of
from hub.catalogue.models import (
    Evaluation,
    GateResult,
    ModelVersion,
    ProbeScore,
    ProbeScoreState,
    VersionState,
)
from hub.catalogue.selectors import released_version
from hub.common.languages import on_record
from hub.common.wakeups import wake
from hub.federations.models import Participation

SUMS = ("examples", "correct", "tokens", "loss_sum")


def require_gates(version: ModelVersion) -> None:
    """Hold a candidate up that a gate of its plan blocks, judged against what is released now.

    Going back to an earlier release is not held up. There is no way past a gate: who wants the
    version all the same makes a plan with other gates, which everybody sees.

    Raises:
        GatesFailed: with the figures of those that block.
    """
    if version.state != VersionState.CANDIDATE:
        return
    blocking = [one for one in judge_version(version=version) if one.blocks]
    if blocking:
        told = [in_words(one) for one in blocking]
        raise GatesFailed(
            _("%(version)s is held up. %(told)s") % {"version": version, "told": " ".join(told)},
            gates=told,
        )


@transaction.atomic
def judge_version(*, version: ModelVersion) -> list[GateResult]:
    """Have every gate of the version's plan say its word. Judged again, the last word stands."""
    plan = Plan.model_validate_json(json.dumps(version.plan))
    if version.is_baseline or not plan.gates.are_set:
        return []
    against = _reference(version)
    case = _case(version, plan, against)
    failed = set(_failed(version).values_list("gate", flat=True))
    found = [
        _keep(version, name, place, judgement, against)
        for place, (name, judgement) in enumerate(judgements(case))
    ]
    for one in found:
        if one.verdict == Verdict.FAIL and one.gate not in failed:
            version.record("gate_failed", data=_failure(version, one))
    wake(f"federation:{version.federation_id}")
    return found


@on_record()
def _failure(version: ModelVersion, one: GateResult) -> dict[str, object]:
    return {"number": version.number, "gate": title_of(one.gate), "words": in_words(one)}


def judge_again(*, adapter_id: str) -> None:
    """The candidates with this adapter were measured on something more."""
    for version in ModelVersion.objects.filter(adapter=adapter_id, state=VersionState.CANDIDATE):
        if version.gate_results.exists():
            judge_version(version=version)


def _failed(version: ModelVersion) -> QuerySet[GateResult]:
    return GateResult.objects.filter(version=version, verdict=Verdict.FAIL)


def _reference(version: ModelVersion) -> ModelVersion | None:
    """What the federation uses now; None while it is this one, or nothing."""
    released = released_version(version.federation)
    return released if released is not None and released.pk != version.pk else None


def _keep(
    version: ModelVersion,
    name: str,
    place: int,
    judgement: Judgement,
    against: ModelVersion | None,
) -> GateResult:
    said = asdict(judgement)
    verdict, blocks, found = said.pop("verdict"), said.pop("blocks"), said.pop("found") or {}
    kept, _made = GateResult.objects.update_or_create(
        version=version,
        gate=name,
        defaults={
            "place": place,
            "verdict": verdict,
            "blocks": blocks,
            "figures": {**said, **found},
            "against": against if judgement.is_change else None,
        },
    )
    return kept


# ------------------------------------------------------------------ what is judged


def _case(version: ModelVersion, plan: Plan, against: ModelVersion | None) -> Case:
    made_by: Any = getattr(version, "round", None)  # a row of a higher app
    evaluations = measured_of(version)
    before = _before(against, made_by.run_id if made_by else None)
    missing = set(made_by.run.evaluators if made_by else ()) - {
        one.participation_id for one in evaluations
    }
    return Case(
        gates=plan.gates,
        measured=[_measured(one, before, against) for one in evaluations],
        missing=_names(missing),
        probed=_probed(version, made_by.run.probe_id if made_by else None),
        seed=int(version.adapter_id[:8], 16),
    )


def measured_of(version: ModelVersion) -> Sequence[Evaluation]:
    """What each organisation measured, with its tally, in an order that stays."""
    found = Evaluation.objects.filter(version=version).order_by("participation_id")
    return list(found.select_related("tally", "participation__organisation"))


def result_of(evaluation: Evaluation) -> EvaluationResult:
    """All that was sent; its figures alone where there is no tally."""
    if hasattr(evaluation, "tally"):
        return evaluation.tally.result
    sums = {name: getattr(evaluation, name) for name in SUMS}
    return EvaluationResult(name=str(evaluation.round_number), **sums)


def _measured(
    one: Evaluation,
    before: Mapping[UUID, EvaluationResult],
    against: ModelVersion | None,
) -> Measured:
    result = result_of(one)
    is_beside = hasattr(one, "tally") and one.tally.against_id == (against and against.pk)
    if not is_beside:
        result = result.model_copy(update={"paired": None})
    name = one.participation.organisation.name
    return Measured(name, result, before.get(one.participation_id))


def _before(against: ModelVersion | None, run_id: UUID | None) -> Mapping[UUID, EvaluationResult]:
    """What each organisation measured of the reference, whenever that was."""
    if against is not None:
        return {one.participation_id: result_of(one) for one in measured_of(against)}
    if run_id is None:
        return {}
    starts = Evaluation.objects.filter(run_id=run_id, round_number=0).select_related("tally")
    return {one.participation_id: result_of(one) for one in starts}


def _names(participations: Iterable[UUID]) -> list[str]:
    places = Participation.objects.filter(pk__in=participations)
    return sorted(places.values_list("organisation__name", flat=True))


def _probed(version: ModelVersion, probe_id: UUID | None) -> Probed | None:
    """On the probe set of the run, where the hub has measured both."""
    done = ProbeScore.objects.filter(probe=probe_id, state=ProbeScoreState.COMPUTED)
    own = done.filter(adapter=version.adapter_id).order_by("created_at").first()
    base = done.filter(is_base=True, plan__task=version.plan["task"]).order_by("created_at").first()
    if own is None or base is None:
        return None
    return Probed(_score(own), _score(base))


def _score(score: ProbeScore) -> EvaluationResult:
    sums = {name: getattr(score, name) for name in SUMS}
    return EvaluationResult.model_validate({"name": "probe", **sums, **score.statistics})
