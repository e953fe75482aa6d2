"""Public probe sets, and what adapters achieve on them."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.catalogue.models.artifacts import Artifact
from hub.common.models import Identified, Stateful, Transitions
from hub.federations.models import Federation

LABELS_SHOWN = 8


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

    @property
    def commonest(self) -> list[tuple[str, int]]:
        """Some of its labels and how often each is given, the most frequent first."""
        by_count = sorted(self.labels.items(), key=lambda one: (-one[1], one[0]))
        return by_count[:LABELS_SHOWN]


class ProbeScoreState(models.TextChoices):
    QUEUED = "queued", _lazy("queued")
    COMPUTED = "computed", _lazy("computed")
    FAILED = "failed", _lazy("failed")


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
