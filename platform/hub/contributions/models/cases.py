"""Cases: what was noticed about updates, for people to decide on; and what it is noticed by."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Stateful, Transitions
from hub.federations.models import Federation, Participation
from hub.runs.models import Round, Run, Update


class CaseKind(models.TextChoices):
    ZERO_UPDATE = "zero_update", _lazy("no change")
    NOISE = "noise", _lazy("like chance")
    STALE = "stale", _lazy("sent before")
    EXACT_COPY = "exact_copy", _lazy("the same bytes")
    NEAR_COPY = "near_copy", _lazy("nearly the same")
    SAME_DATA = "same_data", _lazy("as from the same data")
    INFLATED_COUNT = "inflated_count", _lazy("more examples than declared")
    CRAFTED = "crafted", _lazy("made to look good")


# Who brought the same counts as one: the cluster's value is shared among its members.
TOGETHER = frozenset({CaseKind.EXACT_COPY, CaseKind.NEAR_COPY, CaseKind.SAME_DATA})
# What counts for nothing while such a case is open or upheld.
SUSPECT = frozenset({CaseKind.ZERO_UPDATE, CaseKind.NOISE, CaseKind.STALE, CaseKind.CRAFTED})


class CaseState(models.TextChoices):
    OPEN = "open", _lazy("open")
    UPHELD = "upheld", _lazy("upheld")
    DISMISSED = "dismissed", _lazy("dismissed")


IN_FORCE = (CaseState.OPEN, CaseState.UPHELD)


class Case(Stateful):
    """Something that was noticed about one participation's updates in a run, or about a pair's.

    `evidence`: for each round in which it was noticed, figures by name, "round" among them. There
    is one case of a kind about the same participations in a run; what a later round shows is added
    to it, unless people have dismissed it.
    """

    subject = "case"
    transitions: ClassVar[Transitions] = {
        CaseState.OPEN: {CaseState.UPHELD, CaseState.DISMISSED},
        CaseState.UPHELD: set(),
        CaseState.DISMISSED: set(),
    }

    state = models.CharField(max_length=20, choices=CaseState, default=CaseState.OPEN)
    federation = models.ForeignKey(Federation, on_delete=models.PROTECT, related_name="cases")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="cases")
    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="cases")  # the newest
    kind = models.CharField(max_length=20, choices=CaseKind)
    participations = ArrayField(models.UUIDField(), size=2)  # sorted
    evidence = models.JSONField(default=list)
    reason = models.TextField(max_length=2000, blank=True)  # of the decision
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        ordering = ("-created_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=["run", "kind", "participations"], name="one_case_of_a_kind"
            ),
            models.CheckConstraint(
                condition=models.Q(state="open", decided_by__isnull=True)
                | (~models.Q(state="open") & models.Q(decided_by__isnull=False)),
                name="a_decided_case_has_a_decider",
            ),
        )
        indexes = (models.Index(fields=["federation", "state"]),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} in {self.run_id}"

    def event_scope(self) -> dict[str, UUID | None]:
        return {"federation_id": self.federation_id, "run_id": self.run_id}

    @property
    def rounds(self) -> list[int]:
        """The numbers of the rounds in which it was noticed."""
        return [one["round"] for one in self.evidence]

    @property
    def newest(self) -> dict[str, Any]:
        """What the last round showed."""
        return dict(self.evidence[-1]) if self.evidence else {}


class Answer(models.Model):
    """What an organisation says to a case about it; the last word that it sent."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="answers")
    participation = models.ForeignKey(Participation, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField(max_length=2000)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=["case", "participation"], name="one_answer_of_an_organisation"
            ),
        )

    def __str__(self) -> str:
        return f"{self.participation_id} to {self.case_id}"


class Sketch(models.Model):
    """A change of the model in a few hundred numbers, from which cosines are known nearly.

    Of an update, or where there is none of what its round made of all. So updates of different
    rounds are compared without reading their files again.
    """

    id = models.BigAutoField(primary_key=True)
    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="sketches")
    update = models.OneToOneField(
        Update, on_delete=models.CASCADE, null=True, related_name="sketch"
    )
    packed = models.BinaryField()  # float64, little-endian
    norm = models.FloatField()  # exact

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=["round"],
                condition=models.Q(update__isnull=True),
                name="one_sketch_of_a_round",
            ),
        )

    def __str__(self) -> str:
        return f"sketch of {self.update_id or self.round_id}"

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(number for (number,) in struct.iter_unpack("<d", self.packed))

    @staticmethod
    def pack(values: Sequence[float]) -> bytes:
        return struct.pack(f"<{len(values)}d", *values)
