"""Model versions: published once, released and retired, and what evaluations say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from hub.accounts.models import User
from hub.catalogue.artifacts import adopt_file, grant
from hub.catalogue.cards import version_files
from hub.catalogue.commits import add_commit, revision_of
from hub.catalogue.errors import NotReleasable
from hub.catalogue.models import (
    Artifact,
    BaseModel,
    CommitReason,
    Evaluation,
    ModelVersion,
    VersionState,
)
from hub.catalogue.selectors import require_version
from hub.common.actors import HUB, Actor
from hub.common.errors import Invalid
from hub.federations.models import Federation, Participation
from hub.federations.selectors import require_lead

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
    return version


def _next_number(federation: Federation) -> int:
    """Numbers have no gaps and no twins, because the federation's row is held until the commit."""
    Federation.objects.select_for_update(no_key=True).get(pk=federation.pk)
    highest: int | None = federation.versions.aggregate(highest=Max("number"))["highest"]
    return (highest or 0) + 1


@transaction.atomic
def release_version(*, user: User, version_id: UUID, reason: str = "") -> ModelVersion:
    """Make this the federation's released version, and retire the one that was.

    Releasing a retired version again is rolling back, and wants a reason. Released twice is
    released once.

    Raises:
        NotFound, Forbidden: it is not the user's to see, or to release.
        NotReleasable: it is a baseline, for comparison only.
        Invalid: a roll-back without a reason.
    """
    version = _lock(user, version_id)
    if version.state == VersionState.RELEASED:
        return version
    if version.is_baseline:
        raise NotReleasable(f"{version} was made for comparison only")
    if version.state == VersionState.RETIRED and not reason:
        raise Invalid(f"say why {version} is to be released again")
    before = version.federation.versions.select_for_update().filter(state=VersionState.RELEASED)
    for earlier in before:
        earlier.move_to(
            VersionState.RETIRED, actor=user.actor, reason=f"{version} is released instead"
        )
    version.move_to(
        VersionState.RELEASED, actor=user.actor, reason=reason, data={"number": version.number}
    )
    return version


@transaction.atomic
def retire_version(*, user: User, version_id: UUID, reason: str = "") -> ModelVersion:
    """Take a version out of use; it can still be fetched by its number. Twice is once."""
    version = _lock(user, version_id)
    if version.state != VersionState.RETIRED:
        version.move_to(
            VersionState.RETIRED, actor=user.actor, reason=reason, data={"number": version.number}
        )
    return version


def _lock(user: User, version_id: UUID) -> ModelVersion:
    """Hold the federation and the version; only the lead organisation's people may."""
    version = require_version(user, version_id)
    require_lead(user, version.federation_id)
    Federation.objects.select_for_update(no_key=True).get(pk=version.federation_id)
    return (
        ModelVersion.objects.select_for_update(of=("self",))
        .select_related("federation", "base_model", "parent")
        .get(pk=version_id)
    )


@transaction.atomic
def record_evaluation(
    *,
    adapter_id: str,
    version: ModelVersion | None,
    participation: Participation,
    run_id: UUID,
    round_number: int,
    examples: int,
    correct: int | None,
    tokens: int,
    loss_sum: float,
) -> Evaluation:
    """Keep what an adapter achieved on one participation's test data; the first word counts."""
    evaluation, _ = Evaluation.objects.get_or_create(
        run_id=run_id,
        round_number=round_number,
        participation=participation,
        defaults={
            "adapter_id": adapter_id,
            "version": version,
            "examples": examples,
            "correct": correct,
            "tokens": tokens,
            "loss_sum": loss_sum,
        },
    )
    return evaluation
