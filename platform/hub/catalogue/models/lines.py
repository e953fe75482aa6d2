"""What a federation's versions are called, and how far two of them are from each other.

The catalogue's other models are in `models`, which names these, so that Django finds them.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Stateful, Transitions
from hub.federations.models import Federation


class AliasState(models.TextChoices):
    GIVEN = "given", _lazy("given")
    REMOVED = "removed", _lazy("removed")


class Alias(Stateful):
    """A name of its own that a federation gives to one version at a time.

    The row stays when the name is removed: its events are the name's history.
    """

    subject = "alias"
    transitions: ClassVar[Transitions] = {
        AliasState.GIVEN: {AliasState.REMOVED},
        AliasState.REMOVED: {AliasState.GIVEN},
    }

    state = models.CharField(max_length=20, choices=AliasState, default=AliasState.GIVEN)
    federation = models.ForeignKey(Federation, on_delete=models.PROTECT, related_name="aliases")
    name = models.CharField(max_length=40)
    version = models.ForeignKey(
        "catalogue.ModelVersion", on_delete=models.PROTECT, related_name="aliases"
    )  # the last one that had it

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=["federation", "name"], name="alias_names_differ"),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z0-9]+([-._][a-z0-9]+)*$"),
                name="aliases_are_plain",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def event_scope(self) -> dict[str, UUID | None]:
        return {"federation_id": self.federation_id}


class DistanceState(models.TextChoices):
    QUEUED = "queued", _lazy("queued")
    COMPUTED = "computed", _lazy("computed")
    FAILED = "failed", _lazy("failed")


class Distance(Stateful):
    """How far two adapters over one base are from each other, in what they do to it.

    Named by what it is about: two files, each with the factor that its plan gives B·A. So it is
    computed once, whoever asks, and holds for every version with these weights.
    """

    subject = "distance"
    transitions: ClassVar[Transitions] = {
        DistanceState.QUEUED: {DistanceState.COMPUTED, DistanceState.FAILED},
        DistanceState.COMPUTED: set(),
        DistanceState.FAILED: {DistanceState.QUEUED},
    }

    state = models.CharField(max_length=20, choices=DistanceState, default=DistanceState.QUEUED)
    left = models.ForeignKey("catalogue.Artifact", on_delete=models.PROTECT, related_name="+")
    right = models.ForeignKey("catalogue.Artifact", on_delete=models.PROTECT, related_name="+")
    left_scale = models.FloatField()
    right_scale = models.FloatField()
    attempts = models.PositiveSmallIntegerField(default=0)
    # Of B·A over all modules ("change") and of the other tensors as they are ("values"): the
    # squares of both norms and the inner product. Empty until it is computed.
    figures = models.JSONField(default=dict)
    failure_code = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["left", "right", "left_scale", "right_scale"], name="measured_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.left_id[:8]} to {self.right_id[:8]}"
