"""How a training task goes on; `hub.runs.models` names it, so that Django finds it."""

from __future__ import annotations

from django.db import models


class TrainingPoint(models.Model):
    """The loss at one step of a training task, as its heartbeat told it."""

    id = models.BigAutoField(primary_key=True)
    task = models.ForeignKey("runs.Task", on_delete=models.CASCADE, related_name="points")
    step = models.PositiveIntegerField()
    loss = models.FloatField()
    examples_per_second = models.FloatField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("step",)
        constraints = (models.UniqueConstraint(fields=["task", "step"], name="a_step_once"),)

    def __str__(self) -> str:
        return f"{self.step}: {self.loss:.3f}"
