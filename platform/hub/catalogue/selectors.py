"""What the catalogue shows, and to whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any, TypeAlias
from uuid import UUID

from django.db.models import Q, QuerySet, Sum
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.errors import LicenceNotAccepted
from hub.catalogue.models import (
    Artifact,
    BaseModel,
    BaseModelDraft,
    BaseModelFile,
    DraftFile,
    Evaluation,
    LicenceAcceptance,
    ModelVersion,
    Upload,
    UploadState,
    VersionState,
)
from hub.common.errors import NotFound
from hub.common.models import Event
from hub.federations.models import Federation, ParticipationState
from hub.federations.selectors import federations_of
from hub.organisations.models import Agent, Organisation, OrganisationState
from hub.organisations.selectors import organisations_of

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
    of_bases = BaseModelFile.objects.filter(base_model__in=bases_open_to(reader))
    granted = Artifact.objects.filter(grants__federation__in=federations_read_by(reader))
    visible = Q(pk__in=of_bases.values("artifact")) | Q(pk__in=granted.values("pk"))
    if isinstance(reader, Agent):
        visible |= Q(pk__in=_uploaded_by(reader.organisation_id))
    return Artifact.objects.filter(visible)


def _uploaded_by(organisation_id: UUID) -> QuerySet[Upload, str]:
    complete = Upload.objects.filter(
        agent__organisation=organisation_id, state=UploadState.COMPLETE
    )
    return complete.values_list("sha256", flat=True)


def require_artifact(reader: Reader, sha256: str) -> Artifact:
    """One that the reader may have.

    Raises:
        NotFound: for what is not there and for what is not the reader's alike.
        LicenceNotAccepted: a file of a base model, which everybody may know of.
    """
    artifact = artifacts_visible_to(reader).filter(pk=sha256).first()
    if artifact is not None:
        return artifact
    base = base_models().filter(files__artifact=sha256).first()
    if base is None:
        raise NotFound("there is no such artifact")
    raise _unaccepted(base)


def bases_open_to(reader: Reader) -> QuerySet[BaseModel]:
    """Base models whose files the reader may have; all of them may be looked at."""
    accepted = LicenceAcceptance.objects.filter(organisation__in=_organisations(reader))
    is_open = Q(must_accept=False) | Q(pk__in=accepted.values("base_model"))
    return BaseModel.objects.filter(is_open)


def has_accepted(reader: Reader, base: BaseModel) -> bool:
    """Whether an organisation of the reader's has accepted the licence, where it must be."""
    return not base.must_accept or bases_open_to(reader).filter(pk=base.pk).exists()


def require_accepted(reader: Reader, base: BaseModel) -> None:
    """Raises LicenceNotAccepted."""
    if not has_accepted(reader, base):
        raise _unaccepted(base)


def _unaccepted(base: BaseModel) -> LicenceNotAccepted:
    return LicenceNotAccepted(
        _("An owner accepts it on the page of %(name)s.") % {"name": base.name},
        base_model=base.repo,
    )


def _organisations(reader: Reader) -> QuerySet[Organisation]:
    if isinstance(reader, User):
        return organisations_of(reader)
    return Organisation.objects.filter(pk=reader.organisation_id)


def unaccepted_by(base: BaseModel, organisations: Iterable[UUID] | QuerySet[Any]) -> list[str]:
    """The names of those among the organisations that have still to accept the licence."""
    if not base.must_accept:
        return []
    wanting = Organisation.objects.filter(pk__in=organisations).exclude(
        accepted_licences__base_model=base
    )
    return list(wanting.order_by("name").values_list("name", flat=True))


def upload_of(agent: Agent, upload_id: UUID) -> Upload:
    """Raises NotFound: it is not there, or another agent's."""
    upload = Upload.objects.filter(agent=agent, pk=upload_id).first()
    if upload is None:
        raise NotFound("there is no such upload")
    return upload


def open_uploads_of(organisation_id: UUID) -> QuerySet[Upload]:
    return Upload.objects.filter(agent__organisation=organisation_id, state=UploadState.OPEN)


def received_bytes(task_ids: Collection[UUID]) -> dict[UUID, int]:
    """By task, how many bytes its agents have sent, also in vain; one query.

    A task is missing where nobody counted.
    """
    uploads = Upload.objects.filter(task_id__in=task_ids, received_bytes__isnull=False)
    return dict(uploads.values_list("task_id").annotate(Sum("received_bytes")).order_by())


def base_models() -> QuerySet[BaseModel]:
    """All that can be started from; anybody who has signed in may see them."""
    return BaseModel.objects.all()


def drafts_of(user: User) -> QuerySet[BaseModelDraft]:
    """Base models that the person brings; operators see all, and who is gone brings nothing."""
    mine = Q(begun_by=user) & (
        Q(organisation__isnull=True) | Q(organisation__in=organisations_of(user))
    )
    return BaseModelDraft.objects.all() if user.is_staff else BaseModelDraft.objects.filter(mine)


def require_draft(user: User, draft_id: UUID) -> BaseModelDraft:
    """Raises NotFound."""
    found = drafts_of(user).filter(pk=draft_id).first()
    if found is None:
        raise NotFound("there is no such draft of a base model")
    return found


def last_event(subject_id: UUID) -> Event:
    """The newest of what happened to a row."""
    return Event.objects.filter(subject_id=subject_id).order_by("pk").reverse()[0]


def require_draft_file(user: User, file_id: UUID) -> DraftFile:
    """Raises NotFound."""
    files = DraftFile.objects.filter(draft__in=drafts_of(user)).select_related("draft")
    found = files.filter(pk=file_id).first()
    if found is None:
        raise NotFound("there is no such file of a draft")
    return found


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
