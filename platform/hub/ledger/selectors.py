"""Reads of contribution facts."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Avg, Count, Exists, OuterRef, Q, QuerySet, Sum

from hub.accounts.models import User
from hub.federations.models import Participation
from hub.federations.selectors import federations_of
from hub.ledger.models import ContributionFact, Outcome
from hub.runs.models import Round, RoundState, Update


def facts_visible_to(user: User) -> QuerySet[ContributionFact]:
    """Facts of the federations that the person's organisations take part in."""
    return ContributionFact.objects.filter(
        round__run__federation__in=federations_of(user)
    ).select_related("participation__organisation", "round__run", "update")


def totals_by_participation(federation_id: UUID) -> QuerySet[Participation]:
    """Each participation of a federation with the sums of what it gave."""
    return (
        Participation.objects.filter(federation_id=federation_id)
        .select_related("organisation")
        .annotate(
            accepted=Count("facts", filter=Q(facts__outcome=Outcome.ACCEPTED)),
            rejected=Count("facts", filter=Q(facts__outcome=Outcome.REJECTED)),
            late=Count("facts", filter=Q(facts__outcome=Outcome.LATE)),
            missed=Count("facts", filter=Q(facts__outcome=Outcome.MISSED)),
            examples=Sum("facts__examples", default=0),
            tokens=Sum("facts__tokens", default=0),
            steps=Sum("facts__steps", default=0),
            device_seconds=Sum("facts__device_seconds", default=0.0),
            bytes_up=Sum("facts__bytes_up", default=0),
            bytes_down=Sum("facts__bytes_down", default=0),
            mean_weight=Avg("facts__weight", filter=Q(facts__outcome=Outcome.ACCEPTED)),
        )
        .order_by("organisation__name")
    )


def unmetered_rounds() -> QuerySet[Round]:
    """Rounds that failed and have no facts yet."""
    facts = ContributionFact.objects.filter(round=OuterRef("pk"))
    return Round.objects.filter(~Exists(facts), state=RoundState.FAILED).select_related("start")


def unmetered_late_updates() -> QuerySet[Update]:
    return Update.objects.filter(is_late=True, fact__isnull=True).select_related(
        "artifact", "round__start"
    )
