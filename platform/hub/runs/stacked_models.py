"""The stacked adapter of a round; `hub.runs.models` names it, so that Django finds it."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.catalogue.models import Artifact
from hub.common.models import Stateful, Transitions


class StackingState(models.TextChoices):
    QUEUED = "queued", _lazy("queued")
    COMPUTED = "computed", _lazy("computed")
    FAILED = "failed", _lazy("failed")


class Stacking(Stateful):
    """A closed round taken apart: one file in which every component belongs to an update.

    It is made when somebody asks; made again, it is the same bytes.
    """

    subject = "stacking"
    transitions: ClassVar[Transitions] = {
        StackingState.QUEUED: {StackingState.COMPUTED, StackingState.FAILED},
        StackingState.COMPUTED: set(),
        StackingState.FAILED: {StackingState.QUEUED},
    }

    state = models.CharField(max_length=20, choices=StackingState, default=StackingState.QUEUED)
    round = models.OneToOneField("runs.Round", on_delete=models.PROTECT, related_name="stacking")
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, null=True, related_name="+")
    attempts = models.PositiveSmallIntegerField(default=0)
    failure_code = models.CharField(max_length=64, blank=True)
    failure_detail = models.CharField(max_length=500, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state="computed") ^ models.Q(artifact__isnull=True),
                name="stacked_if_and_only_if_there_are_bytes",
            ),
        )

    def __str__(self) -> str:
        return f"stacked adapter of round {self.round.number}"

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `round.run`."""
        return self.round.event_scope()
