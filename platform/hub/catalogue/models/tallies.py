"""What evaluations sent beyond their first figures, and what the plan's gates made of it.

Tables of their own, since nobody who lists versions should read a confusion of 150 labels.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from federation.gates import Verdict
from federation.protocol import EvaluationResult


class Tally(models.Model):
    """The sufficient statistics of one evaluation, as the agent sent them.

    What is compared in it is compared with `against`; null: with the start of the run.
    """

    evaluation = models.OneToOneField(
        "catalogue.Evaluation", on_delete=models.CASCADE, primary_key=True, related_name="tally"
    )
    statistics = models.JSONField()
    against = models.ForeignKey(
        "catalogue.ModelVersion", on_delete=models.PROTECT, null=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"tally of {self.evaluation_id}"

    @property
    def result(self) -> EvaluationResult:
        return EvaluationResult.model_validate(self.statistics)


class GateResult(models.Model):
    """What one gate of the plan says of a version, with its figures; judged anew, written anew."""

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(
        "catalogue.ModelVersion", on_delete=models.CASCADE, related_name="gate_results"
    )
    gate = models.CharField(max_length=64)  # the plan's field that asks for it
    place = models.PositiveSmallIntegerField()  # in the plan's order
    verdict = models.CharField(max_length=8, choices=[(one.value, one.value) for one in Verdict])
    blocks = models.BooleanField()
    # bound, value, lower, upper, is_share, is_change, is_paired, is_sure, who, why.
    figures: models.JSONField[dict[str, Any]] = models.JSONField()
    against = models.ForeignKey(
        "catalogue.ModelVersion", on_delete=models.PROTECT, null=True, related_name="+"
    )  # what it was compared with; null: the start of the run
    judged_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("place",)
        constraints = (
            models.UniqueConstraint(fields=["version", "gate"], name="a_gate_judges_once"),
        )

    def __str__(self) -> str:
        return f"{self.gate}: {self.verdict}"
