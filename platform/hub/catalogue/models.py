"""Base models, model versions, and the artifacts they are made of."""

from __future__ import annotations

import hashlib
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils import timezone

from hub.catalogue.card_models import ModelKey, Push  # noqa: F401  (Django looks here)
from hub.catalogue.draft_models import DraftFile, LicenceAcceptance  # noqa: F401  (likewise)
from hub.catalogue.line_models import Alias, Distance, Proposal  # noqa: F401  (likewise)
from hub.catalogue.merged_models import MergedFile, MergedModel  # noqa: F401  (likewise)
from hub.catalogue.tally_models import GateResult, Tally  # noqa: F401  (likewise)
from hub.common.models import Identified, Stateful, Transitions
from hub.federations.models import Federation, Participation
from hub.organisations.models import Agent, Organisation

BASE_ROUND = -1  # of evaluations of the base by itself, where a run began with a version
IS_SHA256 = models.Q(sha256__regex=r"^[0-9a-f]{64}$")


class Artifact(models.Model):
    """Immutable bytes, named by their SHA-256. A row exists only for bytes that are stored."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    size_bytes = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    taken_at = models.DateTimeField(default=timezone.now)  # when somebody last brought the bytes

    class Meta:
        constraints = (models.CheckConstraint(condition=IS_SHA256, name="named_by_sha256"),)

    def __str__(self) -> str:
        return self.sha256


class Grant(models.Model):
    """Everybody who takes part in a federation may read an artifact."""

    id = models.BigAutoField(primary_key=True)
    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="grants")
    federation = models.ForeignKey(Federation, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["artifact", "federation"], name="granted_once"),
        )

    def __str__(self) -> str:
        return f"{self.artifact_id[:8]} for {self.federation_id}"


class BaseModel(Identified):
    """A pre-trained model that federations start from; its files never change."""

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=1000, blank=True)
    licence = models.CharField(max_length=60)  # SPDX identifier
    licence_text = models.TextField(blank=True, max_length=200_000)
    must_accept = models.BooleanField(default=False)  # each organisation, before it gets a file
    brought_by = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, null=True, related_name="base_models"
    )  # null: by an operator
    source = models.CharField(max_length=300, blank=True)
    architecture = models.CharField(max_length=80)
    parameters = models.BigIntegerField()
    revision = models.CharField(max_length=40, unique=True)  # digest over the list of files

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def repo(self) -> str:
        return f"base/{self.slug}"

    @property
    def licence_digest(self) -> str:
        """Of the text that is accepted."""
        return hashlib.sha256(self.licence_text.encode()).hexdigest()


class BaseModelFile(models.Model):
    """One file of a base model."""

    id = models.BigAutoField(primary_key=True)
    base_model = models.ForeignKey(BaseModel, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=200)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("path",)
        constraints = (
            models.UniqueConstraint(fields=["base_model", "path"], name="one_base_file_per_path"),
        )

    def __str__(self) -> str:
        return self.path


class VersionState(models.TextChoices):
    CANDIDATE = "candidate", "candidate"
    RELEASED = "released", "released"
    RETIRED = "retired", "retired"


class ModelVersion(Stateful):
    """An immutable published result: base model, adapter, provenance."""

    subject = "version"
    transitions: ClassVar[Transitions] = {
        VersionState.CANDIDATE: {VersionState.RELEASED, VersionState.RETIRED},
        VersionState.RELEASED: {VersionState.RETIRED},
        VersionState.RETIRED: {VersionState.RELEASED},
    }

    state = models.CharField(max_length=20, choices=VersionState, default=VersionState.CANDIDATE)
    federation = models.ForeignKey(Federation, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()  # within the federation, from 1
    base_model = models.ForeignKey(BaseModel, on_delete=models.PROTECT, related_name="versions")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    adapter = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="versions")
    optimiser_state = models.ForeignKey(
        Artifact, on_delete=models.PROTECT, null=True, related_name="+"
    )  # what the server's optimiser remembers; a run that goes on from here goes on from it
    revision = models.CharField(max_length=40)  # of its first commit
    plan = models.JSONField()
    plan_digest = models.CharField(max_length=64)
    rank = models.PositiveSmallIntegerField()
    # Who made it: [{"organisation", "update", "digest", "examples", "weight"}], sorted by digest.
    contributors = models.JSONField(default=list)
    report = models.JSONField(default=dict)  # what the aggregation said of itself
    is_baseline = models.BooleanField(default=False)  # of a comparison run, not of the line

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=["federation", "number"], name="version_numbers_differ"),
            models.UniqueConstraint(
                fields=["federation"],
                condition=models.Q(state="released"),
                name="one_released_version",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="released", is_baseline=True),
                name="baselines_are_not_released",
            ),
        )

    def __str__(self) -> str:
        return f"v{self.number}"

    def event_scope(self) -> dict[str, UUID | None]:
        return {"federation_id": self.federation_id}

    @property
    def repo(self) -> str:
        """Needs `federation`; the name under which `from_pretrained` finds it."""
        return f"{self.federation.slug}/adapter"

    @property
    def files(self) -> models.QuerySet[VersionFile]:
        """Those of its newest commit."""
        newest = self.commits.order_by("-number").values("pk")[:1]
        return VersionFile.objects.filter(commit__in=newest).select_related("artifact")


class CommitReason(models.TextChoices):
    PUBLISHED = "published", "published"
    EVALUATED = "evaluated", "evaluated"
    DESCRIBED = "described", "described anew"


class VersionCommit(models.Model):
    """What the files of a version are from a moment on; earlier commits stay what they were.

    The weights of a version are the same in all its commits.
    """

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="commits")
    number = models.PositiveSmallIntegerField()  # within the version, from 1
    revision = models.CharField(max_length=40, db_index=True)  # digest over the list of files
    reason = models.CharField(max_length=12, choices=CommitReason)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=["version", "number"], name="commit_numbers_differ"),
        )

    def __str__(self) -> str:
        return self.revision[:8]


class VersionFile(models.Model):
    """One file of a commit, as it is downloaded."""

    id = models.BigAutoField(primary_key=True)
    commit = models.ForeignKey(VersionCommit, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=200)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("path",)
        constraints = (
            models.UniqueConstraint(fields=["commit", "path"], name="one_version_file_per_path"),
        )

    def __str__(self) -> str:
        return self.path


class Evaluation(Identified):
    """Sufficient statistics of one adapter on one participation's test data; they add up.

    The larger ones are its `tally`.
    """

    adapter = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="evaluations")
    version = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, null=True, related_name="evaluations"
    )  # null: what a run began with, before anybody trained
    participation = models.ForeignKey(
        Participation, on_delete=models.PROTECT, related_name="evaluations"
    )
    run_id = models.UUIDField(db_index=True)
    round_number = models.IntegerField()  # 0: the start of the run; BASE_ROUND: the base itself
    examples = models.PositiveIntegerField()
    correct = models.PositiveIntegerField(null=True)
    tokens = models.BigIntegerField(default=0)
    loss_sum = models.FloatField()

    class Meta:
        ordering = ("round_number", "created_at")
        constraints = (
            models.UniqueConstraint(
                fields=["run_id", "round_number", "participation"], name="evaluated_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.participation_id} after round {self.round_number}"


class UploadState(models.TextChoices):
    OPEN = "open", "open"
    COMPLETE = "complete", "complete"
    CLOSED = "closed", "closed"


class Upload(Stateful):
    """Bytes on their way in: announced size and digest, and how many have arrived."""

    subject = "upload"
    transitions: ClassVar[Transitions] = {
        UploadState.OPEN: {UploadState.COMPLETE, UploadState.CLOSED},
        UploadState.COMPLETE: {UploadState.CLOSED},  # when its bytes are swept
        UploadState.CLOSED: set(),
    }

    state = models.CharField(max_length=20, choices=UploadState, default=UploadState.OPEN)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="uploads")
    task_id = models.UUIDField(db_index=True)  # a task of `runs`, a higher app
    federation = models.ForeignKey(
        Federation, on_delete=models.PROTECT, null=True, related_name="uploads"
    )  # whose quota it counts in
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    touched_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["task_id", "agent", "sha256"],
                condition=models.Q(state__in=["open", "complete"]),
                name="one_upload_per_content",
            ),
            models.CheckConstraint(
                condition=models.Q(offset__gte=0) & models.Q(offset__lte=models.F("size_bytes")),
                name="offset_within_size",
            ),
        )

    def __str__(self) -> str:
        return f"{self.sha256[:8]} {self.offset}/{self.size_bytes}"

    def event_scope(self) -> dict[str, UUID | None]:
        return {}


class Probe(Identified):
    """Examples that everybody in a federation may read, and on which the hub measures itself.

    Never changed: a new one takes its place for the runs that start from then on.
    """

    federation = models.ForeignKey(Federation, on_delete=models.PROTECT, related_name="probes")
    number = models.PositiveIntegerField()  # within the federation, from 1; the highest is in use
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="probes")
    form = models.CharField(max_length=20)  # see federation.probes.FORMS
    rows = models.PositiveIntegerField()
    labels = models.JSONField(default=dict)  # how often each is given
    statement = models.CharField(max_length=2000)  # where the examples come from
    licence = models.CharField(max_length=120)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=["federation", "number"], name="probe_numbers_differ"),
        )

    def __str__(self) -> str:
        return f"probe {self.number}"


class ProbeScoreState(models.TextChoices):
    QUEUED = "queued", "queued"
    COMPUTED = "computed", "computed"
    FAILED = "failed", "failed"


class ProbeScore(Stateful):
    """What one adapter achieves on one probe; the same wherever it is asked for."""

    subject = "score"
    transitions: ClassVar[Transitions] = {
        ProbeScoreState.QUEUED: {ProbeScoreState.COMPUTED, ProbeScoreState.FAILED},
        ProbeScoreState.COMPUTED: set(),
        ProbeScoreState.FAILED: {ProbeScoreState.QUEUED},
    }

    state = models.CharField(max_length=20, choices=ProbeScoreState, default=ProbeScoreState.QUEUED)
    probe = models.ForeignKey(Probe, on_delete=models.PROTECT, related_name="scores")
    adapter = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="probe_scores")
    measured_as = models.CharField(max_length=64)  # digest of the plan's parts that matter here
    plan = models.JSONField()
    about = models.CharField(max_length=200)  # whose adapter it is: «version 3»
    is_base = models.BooleanField(default=False)  # a fresh adapter: the base model without us
    attempts = models.PositiveSmallIntegerField(default=0)
    examples = models.PositiveIntegerField(default=0)
    correct = models.PositiveIntegerField(null=True)
    tokens = models.BigIntegerField(default=0)
    loss_sum = models.FloatField(default=0.0)
    statistics = models.JSONField(default=dict)  # whatever else the evaluation says; adds up
    seconds = models.FloatField(null=True)
    failure_code = models.CharField(max_length=64, blank=True)
    failure_detail = models.CharField(max_length=500, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(fields=["probe", "adapter", "measured_as"], name="probed_once"),
        )

    def __str__(self) -> str:
        return self.about

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `probe`."""
        return {"federation_id": self.probe.federation_id}
