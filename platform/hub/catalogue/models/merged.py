"""Merged models: what the `-merged` repositories hold.

The catalogue's other models are in `models`, which names these, so that Django finds them.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Stateful, Transitions


class MergedState(models.TextChoices):
    ABSENT = "absent", _lazy("not made")
    QUEUED = "queued", _lazy("being made")
    READY = "ready", _lazy("ready")
    FAILED = "failed", _lazy("failed")


class MergedModel(Stateful):
    """A version worked into the weights of its base, made when somebody first asks for a file.

    Its revision is known before there are files. They go when nobody asks for them any more and
    room is short, and come again as the same bytes.
    """

    subject = "merged"
    transitions: ClassVar[Transitions] = {
        MergedState.ABSENT: {MergedState.QUEUED},
        MergedState.QUEUED: {MergedState.READY, MergedState.FAILED},
        MergedState.READY: {MergedState.ABSENT},
        MergedState.FAILED: {MergedState.QUEUED},
    }

    state = models.CharField(max_length=20, choices=MergedState, default=MergedState.ABSENT)
    version = models.OneToOneField(
        "catalogue.ModelVersion", on_delete=models.CASCADE, related_name="merged"
    )
    revision = models.CharField(max_length=40, unique=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField()  # when somebody last asked for it, to the hour
    failure_code = models.CharField(max_length=64, blank=True)
    failure_detail = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.revision[:8]} {self.state}"

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `version`."""
        return {"federation_id": self.version.federation_id}


class MergedFile(models.Model):
    """One file of a merged model; what the adapter leaves alone is its base's artifact."""

    id = models.BigAutoField(primary_key=True)
    merged = models.ForeignKey(MergedModel, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=200)
    artifact = models.ForeignKey("catalogue.Artifact", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("path",)
        constraints = (
            models.UniqueConstraint(fields=["merged", "path"], name="one_merged_file_per_path"),
        )

    def __str__(self) -> str:
        return self.path
