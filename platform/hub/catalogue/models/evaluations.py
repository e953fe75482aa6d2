"""What adapters achieve on the test data of participations."""

from __future__ import annotations

from django.db import models

from hub.catalogue.models.artifacts import Artifact
from hub.catalogue.models.versions import ModelVersion
from hub.common.models import Identified
from hub.federations.models import Participation

BASE_ROUND = -1  # of evaluations of the base by itself, where a run began with a version


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
