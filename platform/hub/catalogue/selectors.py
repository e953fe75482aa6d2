"""What the catalogue shows, and to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum
from typing import TypeAlias
from uuid import UUID

from django.db.models import Q, QuerySet

from hub.accounts.models import User
from hub.catalogue.errors import LicenceNotAccepted
from hub.catalogue.line_models import Proposal
from hub.catalogue.models import (
    Artifact,
    BaseModel,
    BaseModelFile,
    Evaluation,
    ModelVersion,
    Upload,
    UploadState,
    VersionState,
)
from hub.common.errors import NotFound
from hub.federations.models import Federation, ParticipationState
from hub.federations.selectors import federations_of
from hub.organisations.models import Agent, OrganisationState

Reader: TypeAlias = User | Agent  # who may read: a person, or an organisation's agent


def federations_read_by(reader: Reader) -> QuerySet[Federation]:
    """The federations whose versions and starts the reader may have."""
    if isinstance(reader, User):
        return federations_of(reader)
    return Federation.objects.filter(
        participations__organisation=reader.organisation_id,
        participations__organisation__state=OrganisationState.APPROVED,
        participations__state=ParticipationState.ACTIVE,
    )


def artifacts_visible_to(reader: Reader) -> QuerySet[Artifact]:
    """Base files, what was granted to the reader's federations, and an agent's own updates."""
    of_bases = BaseModelFile.objects.values("artifact")
    granted = Artifact.objects.filter(grants__federation__in=federations_read_by(reader))
    visible = Q(pk__in=of_bases) | Q(pk__in=granted.values("pk"))
    if isinstance(reader, Agent):
        visible |= Q(pk__in=_uploaded_by(reader.organisation_id))
    return Artifact.objects.filter(visible)


def _uploaded_by(organisation_id: UUID) -> QuerySet[Upload, str]:
    complete = Upload.objects.filter(
        agent__organisation=organisation_id, state=UploadState.COMPLETE
    )
    return complete.values_list("sha256", flat=True)


def require_artifact(reader: Reader, sha256: str) -> Artifact:
    """Raises NotFound for what is not there and for what is not the reader's alike."""
    artifact = artifacts_visible_to(reader).filter(pk=sha256).first()
    if artifact is None:
        raise NotFound("there is no such artifact")
    return artifact


def upload_of(agent: Agent, upload_id: UUID) -> Upload:
    """Raises NotFound: it is not there, or another agent's."""
    upload = Upload.objects.filter(agent=agent, pk=upload_id).first()
    if upload is None:
        raise NotFound("there is no such upload")
    return upload


def open_uploads_of(organisation_id: UUID) -> QuerySet[Upload]:
    return Upload.objects.filter(agent__organisation=organisation_id, state=UploadState.OPEN)


def base_models() -> QuerySet[BaseModel]:
    """All that can be started from; anybody who has signed in may see them."""
    return BaseModel.objects.all()


def versions_visible_to(user: User) -> QuerySet[ModelVersion]:
    """Versions of the federations in which an organisation of the user's takes part."""
    return ModelVersion.objects.filter(federation__in=federations_of(user)).select_related(
        "federation", "base_model", "parent"
    )


def require_version(user: User, version_id: UUID) -> ModelVersion:
    """Raises NotFound: it is not there, or not the user's to see."""
    version = versions_visible_to(user).filter(pk=version_id).first()
    if version is None:
        raise NotFound("there is no such version")
    return version


def proposals_visible_to(user: User) -> QuerySet[Proposal]:
    """Releases and rollbacks that were proposed in the user's federations, the newest first."""
    return Proposal.objects.filter(federation__in=federations_of(user)).select_related(
        "version", "federation", "participation__organisation", "proposed_by", "decided_by"
    )


def line_of(federation: Federation) -> QuerySet[ModelVersion]:
    """The versions that build on each other, the newest first; without baselines."""
    return federation.versions.filter(is_baseline=False).order_by("-number")


def released_version(federation: Federation) -> ModelVersion | None:
    return federation.versions.filter(state=VersionState.RELEASED).first()


def evaluations_visible_to(user: User) -> QuerySet[Evaluation]:
    return Evaluation.objects.filter(
        participation__federation__in=federations_of(user)
    ).select_related("version", "participation__organisation")


@dataclass(frozen=True, slots=True)
class Measured:
    """What sufficient statistics say: shares and means over the examples."""

    examples: int
    accuracy: float | None  # None: nothing was classified
    loss: float  # mean over examples (classification) or tokens (language modelling)


@dataclass(frozen=True, slots=True)
class Pooled(Measured):
    """Over all test data together, exactly as if it lay in one place; and for each."""

    by_participation: Mapping[UUID, Measured]

    @property
    def worst(self) -> Measured:
        return min(self.by_participation.values(), key=_merit)


def pooled(evaluations: Iterable[Evaluation]) -> Pooled:
    """Add up evaluations of one adapter.

    Raises:
        ValueError: there are none.
    """
    given = sorted(evaluations, key=lambda evaluation: evaluation.participation_id)
    whole = _measured(given)
    each = {evaluation.participation_id: _measured([evaluation]) for evaluation in given}
    return Pooled(whole.examples, whole.accuracy, whole.loss, by_participation=each)


def _measured(evaluations: Iterable[Evaluation]) -> Measured:
    given = list(evaluations)
    if not given:
        raise ValueError("nothing was evaluated")
    examples = sum(evaluation.examples for evaluation in given)
    tokens = sum(evaluation.tokens for evaluation in given)
    correct = [evaluation.correct for evaluation in given if evaluation.correct is not None]
    is_classification = len(correct) == len(given)
    units = examples if is_classification else tokens or examples
    return Measured(
        examples=examples,
        accuracy=sum(correct) / examples if is_classification else None,
        loss=fsum(evaluation.loss_sum for evaluation in given) / units,
    )


def _merit(measured: Measured) -> float:
    return -measured.loss if measured.accuracy is None else measured.accuracy
