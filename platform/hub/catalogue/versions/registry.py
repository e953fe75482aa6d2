"""Model versions: published once, and what evaluations say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from federation.protocol import EvaluationResult
from hub.catalogue.blobs.artifacts import adopt_file, grant
from hub.catalogue.cards.files import version_files
from hub.catalogue.entries import tell_evaluated, tell_published
from hub.catalogue.models import (
    Artifact,
    BaseModel,
    CommitReason,
    Evaluation,
    ModelVersion,
    Tally,
)
from hub.catalogue.versions.commits import add_commit, revision_of
from hub.catalogue.versions.releases import release_version, retire_version
from hub.common.actors import HUB, Actor
from hub.federations.models import Federation, Participation

__all__ = [
    "adopt_file",
    "publish_version",
    "record_evaluation",
    "release_version",
    "retire_version",
    "revision_of",
    "version_files",
]


@transaction.atomic
def publish_version(
    *,
    federation: Federation,
    base_model: BaseModel,
    parent: ModelVersion | None,
    adapter: Artifact,
    files: Mapping[str, Artifact],
    plan: Mapping[str, Any],
    plan_digest: str,
    rank: int,
    contributors: Sequence[Mapping[str, Any]],
    report: Mapping[str, Any],
    is_baseline: bool = False,
    optimiser_state: Artifact | None = None,
    actor: Actor = HUB,
) -> ModelVersion:
    """Add the federation's next version, as a candidate, with files its participants may read."""
    version = ModelVersion.objects.create(
        federation=federation,
        number=_next_number(federation),
        base_model=base_model,
        parent=parent,
        adapter=adapter,
        revision=revision_of({path: artifact.sha256 for path, artifact in files.items()}),
        plan=dict(plan),
        plan_digest=plan_digest,
        rank=rank,
        contributors=[dict(contributor) for contributor in contributors],
        report=dict(report),
        is_baseline=is_baseline,
        optimiser_state=optimiser_state,
    )
    add_commit(version=version, files=files, reason=CommitReason.PUBLISHED)
    grant(artifacts=[adapter], federation=federation)
    version.record("published", actor=actor, data={"number": version.number})
    tell_published(version, files)
    return version


def _next_number(federation: Federation) -> int:
    """Numbers have no gaps and no twins, because the federation's row is held until the commit."""
    Federation.objects.select_for_update(no_key=True).get(pk=federation.pk)
    highest: int | None = federation.versions.aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1


@transaction.atomic
def record_evaluation(
    *,
    adapter_id: str,
    version: ModelVersion | None,
    participation: Participation,
    run_id: UUID,
    round_number: int,
    result: EvaluationResult,
    against: ModelVersion | None = None,
) -> Evaluation:
    """Keep what an adapter achieved on one participation's test data; the first word counts.

    `against`: what it is compared with; None for the start of the run.
    """
    evaluation, is_new = Evaluation.objects.get_or_create(
        run_id=run_id,
        round_number=round_number,
        participation=participation,
        defaults={
            "adapter_id": adapter_id,
            "version": version,
            "examples": result.examples,
            "correct": result.correct,
            "tokens": result.tokens,
            "loss_sum": result.loss_sum,
        },
    )
    if is_new:
        tell_evaluated(evaluation)
    if is_new and result.spread is not None:
        said = result.model_dump(mode="json")
        Tally.objects.create(evaluation=evaluation, statistics=said, against=against)
    return evaluation
