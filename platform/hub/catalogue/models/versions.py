"""Model versions, their commits and files."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.catalogue.models.artifacts import Artifact
from hub.catalogue.models.bases import BaseModel
from hub.common.models import Stateful, Transitions
from hub.federations.models import Federation


class VersionState(models.TextChoices):
    CANDIDATE = "candidate", _lazy("candidate")
    RELEASED = "released", _lazy("released")
    RETIRED = "retired", _lazy("retired")


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
        indexes = (
            # Rows are long: a page far back is counted off in the index.
            models.Index(
                fields=["federation", "is_baseline", "-number"],
                include=["id"],
                name="the_line_newest_first",
            ),
        )
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
    PUBLISHED = "published", _lazy("published")
    EVALUATED = "evaluated", _lazy("evaluated")
    DESCRIBED = "described", _lazy("described anew")


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
