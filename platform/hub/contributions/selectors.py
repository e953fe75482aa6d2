"""Reads of contribution facts."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Avg, Count, Exists, OuterRef, Q, QuerySet, Subquery, Sum

from federation.protocol import TaskType
from hub.accounts.models import User
from hub.catalogue.models import Evaluation
from hub.contributions.models import ContributionFact, Outcome
from hub.federations.models import Participation
from hub.federations.selectors import federations_of
from hub.runs.models import Purpose, Round, RoundState, Task, TaskState, Update


def facts_visible_to(user: User) -> QuerySet[ContributionFact]:
    """Facts of the federations that the person's organisations take part in."""
    return ContributionFact.objects.filter(
        round__run__federation__in=federations_of(user)
    ).select_related("participation__organisation", "round__run", "update")


def of_purpose(*, apart: bool, through: str = "") -> Q:
    """Facts of runs that the federation trained together, or `apart`: of baselines."""
    together = Q(**{f"{through}round__run__purpose": Purpose.FEDERATED})
    return ~together if apart else together


def totals_by_participation(federation_id: UUID, *, apart: bool = False) -> QuerySet[Participation]:
    """Each participation of a federation with the sums of what it gave; baselines `apart`."""
    counted = of_purpose(apart=apart, through="facts__")
    trained = counted & ~Q(facts__outcome=Outcome.EVALUATED)

    def those(outcome: Outcome) -> Q:
        return counted & Q(facts__outcome=outcome)

    return (
        Participation.objects.filter(federation_id=federation_id)
        .select_related("organisation")
        .annotate(
            accepted=Count("facts", filter=those(Outcome.ACCEPTED)),
            rejected=Count("facts", filter=those(Outcome.REJECTED)),
            quarantined=Count("facts", filter=those(Outcome.QUARANTINED)),
            late=Count("facts", filter=those(Outcome.LATE)),
            missed=Count("facts", filter=those(Outcome.MISSED)),
            evaluated=Count("facts", filter=those(Outcome.EVALUATED)),
            examples=Sum("facts__examples", filter=trained, default=0),
            tokens=Sum("facts__tokens", filter=counted, default=0),
            steps=Sum("facts__steps", filter=counted, default=0),
            device_seconds=Sum("facts__device_seconds", filter=counted, default=0.0),
            bytes_up=Sum("facts__bytes_up", filter=counted, default=0),
            bytes_down=Sum("facts__bytes_down", filter=counted, default=0),
            mean_weight=Avg("facts__weight", filter=those(Outcome.ACCEPTED)),
        )
        .order_by("organisation__name")
    )


def unmetered_rounds() -> QuerySet[Round]:
    """Rounds that failed and have no facts yet."""
    facts = ContributionFact.objects.filter(round=OuterRef("pk"))
    return Round.objects.filter(~Exists(facts), state=RoundState.FAILED).select_related("start")


def unmetered_evaluations() -> QuerySet[Task]:
    """Evaluations that are done and have no fact yet, with how many examples were `tested`."""
    facts = ContributionFact.objects.filter(
        round=OuterRef("round"),
        participation=OuterRef("participation"),
        outcome=Outcome.EVALUATED,
    )
    measured = Evaluation.objects.filter(
        run_id=OuterRef("round__run"),
        round_number=OuterRef("round__number"),
        participation=OuterRef("participation"),
    )
    done = Task.objects.filter(type=TaskType.EVALUATE, state=TaskState.COMPLETED)
    return done.filter(~Exists(facts)).annotate(tested=Subquery(measured.values("examples")[:1]))


def unmetered_late_updates() -> QuerySet[Update]:
    return Update.objects.filter(is_late=True, fact__isnull=True).select_related(
        "artifact", "round__start", "round__run"
    )
