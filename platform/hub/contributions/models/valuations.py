"""What the contributions to a round were worth, and all that was measured to know it."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.catalogue.models import Artifact, Probe
from hub.common.models import Stateful, Transitions
from hub.federations.models import Participation
from hub.runs.models import Round


class ValuationState(models.TextChoices):
    QUEUED = "queued", _lazy("queued")
    MEASURING = "measuring", _lazy("measuring")
    RECORDED = "recorded", _lazy("recorded")
    FAILED = "failed", _lazy("failed")


class Valuation(Stateful):
    """A round's contributions measured in one way, which is fixed before anything is measured.

    Another way is another row; nothing that is recorded changes.
    """

    subject = "valuation"
    transitions: ClassVar[Transitions] = {
        ValuationState.QUEUED: {ValuationState.MEASURING, ValuationState.FAILED},
        ValuationState.MEASURING: {ValuationState.RECORDED, ValuationState.FAILED},
        ValuationState.RECORDED: set(),
        ValuationState.FAILED: {ValuationState.QUEUED},
    }

    state = models.CharField(max_length=20, choices=ValuationState, default=ValuationState.QUEUED)
    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="valuations")
    number = models.PositiveIntegerField()  # within the round, from 1
    spec = models.JSONField()  # the plan's section, or what somebody asked for instead
    spec_digest = models.CharField(max_length=64)
    is_planned = models.BooleanField()  # the run's plan asked for it
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    method = models.CharField(max_length=40, blank=True)  # the one that the spec comes to here
    seed = models.CharField(max_length=64)
    # Who took part: [{"id", "weight", "updates": [digests]}], sorted by the participation's id.
    players = models.JSONField(default=list)
    clusters = models.JSONField(default=list)  # of ids: who brought the same
    probe = models.ForeignKey(Probe, on_delete=models.PROTECT, null=True, related_name="+")
    stacked = models.ForeignKey(
        Artifact, on_delete=models.PROTECT, null=True, related_name="+"
    )  # what members measure coalitions with
    deadline_at = models.DateTimeField(null=True)  # of the members' measurements
    seconds = models.FloatField(default=0)  # that workers and sites have spent
    evaluations = models.PositiveIntegerField(null=True)  # that the values come from
    worth = models.FloatField(null=True)  # of all together: by how much they lowered the loss
    gap = models.FloatField(null=True)  # what of it no value accounts for
    attempts = models.PositiveSmallIntegerField(default=0)
    failure_code = models.CharField(max_length=64, blank=True)
    failure_detail = models.CharField(max_length=500, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(fields=["round", "spec_digest"], name="a_spec_once"),
            models.UniqueConstraint(fields=["round", "number"], name="valuation_numbers_differ"),
        )
        indexes = (
            models.Index(
                fields=["state_changed_at"],
                condition=models.Q(state__in=["queued", "measuring"]),
                name="valuation_going_on",
            ),
        )

    def __str__(self) -> str:
        return f"valuation {self.number} of round {self.round.number}"

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `round.run`."""
        return self.round.event_scope()


class CoalitionScore(models.Model):
    """What one probe says of one coalition's model: wanted first, then measured, then for good.

    `coalition`: places among the valuation's players, sorted. `owner`: whose private probe; none:
    the public one. A worker's hold on it ends by itself.
    """

    id = models.BigAutoField(primary_key=True)
    valuation = models.ForeignKey(Valuation, on_delete=models.CASCADE, related_name="scores")
    owner = models.ForeignKey(Participation, on_delete=models.PROTECT, null=True, related_name="+")
    coalition = ArrayField(models.PositiveSmallIntegerField())
    losses = ArrayField(models.BigIntegerField(), null=True)  # of each bin, in millionths
    counts = ArrayField(models.BigIntegerField(), null=True)  # of each bin
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=["valuation", "owner", "coalition"],
                name="a_coalition_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(losses__isnull=True) ^ models.Q(counts__isnull=False),
                name="losses_have_counts",
            ),
        )

    def __str__(self) -> str:
        return f"{self.coalition}"


class Value(models.Model):
    """What one participation's contribution to a round was worth, and how sure that is."""

    id = models.BigAutoField(primary_key=True)
    valuation = models.ForeignKey(Valuation, on_delete=models.PROTECT, related_name="values")
    participation = models.ForeignKey(
        Participation, on_delete=models.PROTECT, related_name="values"
    )
    phi = models.FloatField()  # by how much it lowered the mean loss
    low = models.FloatField(null=True)  # of the interval of 95 %; none where nothing says
    high = models.FloatField(null=True)
    by_owner = models.JSONField(default=dict)  # what each probe says by itself
    shaken = models.BinaryField(default=b"")  # float64: the value on other examples and orders

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=["valuation", "participation"], name="one_value_each"),
        )

    def __str__(self) -> str:
        return f"{self.participation_id}: {self.phi:+.4f}"
