"""Commit, then reveal; `hub.runs.models` names these, so that Django finds them."""

from __future__ import annotations

from django.db import models

from hub.common.models import Identified
from hub.federations.models import Participation
from hub.organisations.models import Agent


class Unveiling(models.Model):
    """When the updates of a round are shown: once all have committed, or after the deadline.

    A table of its own, so that rounds without it are what they were. Its row is the last lock that
    is taken of a round: who commits and who opens wait for each other here.
    """

    round = models.OneToOneField(
        "runs.Round", on_delete=models.CASCADE, primary_key=True, related_name="unveiling"
    )
    deadline_at = models.DateTimeField()  # of the commitments
    opened_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"unveiling of {self.round_id}"


class Commitment(Identified):
    """An organisation's signed word which bytes it will send, before anybody sends any."""

    round = models.ForeignKey("runs.Round", on_delete=models.PROTECT, related_name="commitments")
    participation = models.ForeignKey(
        Participation, on_delete=models.PROTECT, related_name="commitments"
    )
    task = models.OneToOneField("runs.Task", on_delete=models.PROTECT, related_name="commitment")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64)  # of the update's bytes
    statement = models.JSONField()
    signature = models.CharField(max_length=128)

    class Meta:
        ordering = ("created_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=["round", "participation"], name="one_commitment_per_participation"
            ),
            models.UniqueConstraint(
                fields=["round", "digest"], name="nobody_commits_to_anothers_bytes"
            ),
        )

    def __str__(self) -> str:
        return f"commitment to {self.digest[:8]}"
