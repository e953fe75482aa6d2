"""Credits: the budget of a run, split once by what contributions were worth."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Identified
from hub.federations.models import Participation
from hub.runs.models import Run


class Reward(Identified):
    """A run's credits as they were split first. What changes later is more credits, not this row.

    What nobody earned is left, and can be seen from the budget and the credits.
    """

    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="reward")
    budget = models.BigIntegerField()
    rule = models.JSONField()  # rho, floor, hold_back
    seed = models.CharField(max_length=64)  # decides between equal remainders
    release_at = models.DateTimeField(db_index=True)  # when what is held back is paid
    released_at = models.DateTimeField(null=True)  # nothing is held back since

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.budget} credits of {self.run_id}"


class CreditKind(models.TextChoices):
    GRANTED = "granted", _lazy("granted")
    RELEASED = "released", _lazy("paid after the time")
    FORFEITED = "forfeited", _lazy("not paid after a case")
    CORRECTED = "corrected", _lazy("corrected")


class Credit(models.Model):
    """What one participation gets or loses. Its balance is the sum of its rows."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True)
    reward = models.ForeignKey(Reward, on_delete=models.PROTECT, related_name="credits")
    participation = models.ForeignKey(
        Participation, on_delete=models.PROTECT, related_name="credits"
    )
    kind = models.CharField(max_length=10, choices=CreditKind)
    value = models.FloatField(null=True)  # of its contributions to the run, where that decided
    paid = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    entry = models.CharField(max_length=200)  # the key of the ledger's entry that tells it

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=["entry", "participation"], name="one_credit_each"),
        )

    def __str__(self) -> str:
        return f"{self.participation_id}: {self.paid:+d}"
