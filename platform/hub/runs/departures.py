"""What stays of an organisation that leaves: versions that hold its contribution, and the choices.

A version holds it directly when updates of the organisation counted in its round, and from then on
every version that was trained from it does, too: weights cannot be told apart afterwards. So what
can be computed again is a single round; to be rid of it all, one trains anew from before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from hub.catalogue.models import ModelVersion, VersionState
from hub.federations.models import Participation
from hub.runs.models import Recomputation, Round, Update
from hub.runs.services.ending import free_to_leave

ROUNDS_SHOWN = 20
HELD = """
WITH RECURSIVE held AS (
    SELECT round.version_id AS id
    FROM runs_update AS sent
    JOIN runs_round AS round ON round.id = sent.counted_in_id
    WHERE sent.participation_id = %s AND round.version_id IS NOT NULL
    UNION
    SELECT child.id FROM catalogue_modelversion AS child JOIN held ON child.parent_id = held.id
)
SELECT id FROM held
"""


@dataclass(frozen=True, slots=True)
class Affected:
    """A round in which its updates counted, and what computing it without them takes."""

    round: Round
    others: int  # updates of others that counted
    other_bytes: int  # to read again
    seconds: float | None  # that aggregating it took
    outcome: Recomputation | None  # of computing it without, if that was asked for

    @property
    def can_be_computed(self) -> bool:
        return self.others > 0


class Departure:
    """One place and what it leaves; six queries."""

    def __init__(self, place: Participation) -> None:
        """`place` comes with `organisation` and `federation`."""
        self.place = place

    @cached_property
    def rounds(self) -> QuerySet[Round]:
        own = Update.objects.filter(participation=self.place, counted_in__isnull=False)
        return Round.objects.filter(pk__in=own.values("counted_in"), version__isnull=False)

    @cached_property
    def held(self) -> QuerySet[ModelVersion]:
        """Versions that hold its contribution, the newest first."""
        ids = RawSQL(HELD, [self.place.pk])  # noqa: S611  (a constant and a parameter)
        found = ModelVersion.objects.filter(federation=self.place.federation_id, pk__in=ids)
        return found.order_by("-number")

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many versions hold it, which is the newest, and whether the released one does."""
        return self.held.aggregate(
            count=Count("pk"),
            newest=Max("number"),
            released=Max("number", filter=Q(state=VersionState.RELEASED)),
        )

    @cached_property
    def clean(self) -> ModelVersion | None:
        """The newest version of the line that holds nothing of it; none: only the base model."""
        line = ModelVersion.objects.filter(federation=self.place.federation_id, is_baseline=False)
        ids = RawSQL(HELD, [self.place.pk])  # noqa: S611
        return (
            line.exclude(pk__in=ids).order_by("-number").only("pk", "number", "federation").first()
        )

    @cached_property
    def affected(self) -> Sequence[Affected]:
        """The rounds, the newest first, so many as are shown."""
        found = list(self._counted().select_related("run", "version")[:ROUNDS_SHOWN])
        without = {
            one.round_id: one
            for one in Recomputation.objects.filter(
                round__in=found, method__without=str(self.place.pk)
            )
        }
        return [
            Affected(
                round=one,
                others=one.others,  # type: ignore[attr-defined]
                other_bytes=one.other_bytes,  # type: ignore[attr-defined]
                seconds=(one.version.report if one.version else {}).get("seconds"),
                outcome=without.get(one.pk),
            )
            for one in found
        ]

    def _counted(self) -> QuerySet[Round]:
        others = (
            Update.objects.filter(counted_in=OuterRef("pk"))
            .exclude(participation=self.place)
            .order_by()
            .values("counted_in")
            .annotate(count=Count("pk"), size=Sum("artifact__size_bytes"))
        )
        return self.rounds.annotate(
            others=Coalesce(Subquery(others.values("count")), 0),
            other_bytes=Coalesce(Subquery(others.values("size")), 0),
        ).order_by("-version__number")

    @cached_property
    def spent(self) -> dict[str, object]:
        """What training those rounds took: how many, how long all together, what was sent in."""
        took = self.rounds.aggregate(rounds=Count("pk"), time=Sum(F("ended_at") - F("created_at")))
        sent = Update.objects.filter(counted_in__in=self.rounds).aggregate(
            size=Coalesce(Sum("artifact__size_bytes"), 0)
        )
        seconds = (took["time"] or timedelta()).total_seconds()
        return {"rounds": took["rounds"], "seconds": seconds, "bytes": sent["size"]}

    @cached_property
    def is_in_a_round(self) -> bool:
        """Whether it has a part in a round that is under way."""
        return not free_to_leave(Participation.objects.filter(pk=self.place.pk)).exists()
