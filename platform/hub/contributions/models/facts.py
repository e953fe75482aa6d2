"""Metered facts about contributions. Appended, never changed; corrected by new entries only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.federations.models import Participation
from hub.runs.models import Round, Update


class Outcome(models.TextChoices):
    ACCEPTED = "accepted", _lazy("accepted")
    REJECTED = "rejected", _lazy("rejected")
    QUARANTINED = "quarantined", _lazy("held for review")
    LATE = "late", _lazy("late")
    MISSED = "missed", _lazy("missed")
    EVALUATED = "evaluated", _lazy("evaluated")


class ContributionFact(models.Model):
    """What one participation gave to one round, from its signed statement.

    Evaluations are facts of their own, without tokens, steps and bytes; their examples are those
    that were tested on.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True)
    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="facts")
    participation = models.ForeignKey(Participation, on_delete=models.PROTECT, related_name="facts")
    update = models.OneToOneField(Update, on_delete=models.PROTECT, null=True, related_name="fact")
    outcome = models.CharField(max_length=12, choices=Outcome)
    reason = models.CharField(max_length=64, blank=True)  # why it was rejected or held: its code
    examples = models.PositiveIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0)
    device_seconds = models.FloatField(default=0)
    bytes_up = models.BigIntegerField(default=0)
    bytes_down = models.BigIntegerField(default=0)
    weight = models.FloatField(default=0)  # its share in the aggregate, 0…1

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=["round", "participation", "outcome"], name="one_fact_per_outcome"
            ),
        )

    def __str__(self) -> str:
        return f"{self.participation_id} {self.outcome}"
