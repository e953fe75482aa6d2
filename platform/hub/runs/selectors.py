"""Reads of runs, rounds, tasks and updates, each scoped to its caller."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID, uuid4

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from federation.protocol import TaskType
from hub.accounts.models import User
from hub.common.asked import Asked
from hub.common.models import Event
from hub.federations.models import ParticipationState
from hub.federations.selectors import federations_of
from hub.organisations.models import Agent
from hub.runs.methods import Variation, variations
from hub.runs.models import (
    Recomputation,
    Round,
    RoundState,
    Run,
    RunState,
    Task,
    TaskState,
    Update,
    UpdateState,
)

ACTIVE_ROUNDS = (
    RoundState.OPEN,
    RoundState.COLLECTING,
    RoundState.AGGREGATING,
    RoundState.EVALUATING,
)
OPEN_TASKS = (TaskState.QUEUED, TaskState.LEASED)
STOPPED = "task.stopped"  # the kind of an event
# A round is trained and evaluated while its run goes on; what it was worth is measured after it.
IN_REACH = Q(round__run__state=RunState.RUNNING) | Q(
    type=TaskType.VALUE, round__run__state__in=[RunState.COMPLETED, RunState.FAILED]
)
IS_VALUING = Case(When(type=TaskType.VALUE, then=1), default=0)  # goes behind all else


def runs_visible_to(user: User) -> QuerySet[Run]:
    """Runs of the federations that the person's organisations take part in."""
    return Run.objects.filter(federation__in=federations_of(user)).select_related("federation")


def rounds_visible_to(user: User) -> QuerySet[Round]:
    return Round.objects.filter(run__federation__in=federations_of(user)).select_related(
        "run__federation", "version"
    )


def tasks_visible_to(user: User) -> QuerySet[Task]:
    return Task.objects.filter(round__run__federation__in=federations_of(user)).select_related(
        "round__run", "participation__organisation", "agent"
    )


def updates_visible_to(user: User) -> QuerySet[Update]:
    return Update.objects.filter(round__run__federation__in=federations_of(user)).select_related(
        "round__run", "participation__organisation", "agent"
    )


def waiting_tasks(agent: Agent, federations: Iterable[str]) -> QuerySet[Task]:
    """Tasks that this agent could lease now, oldest first."""
    return _tasks_for(agent, federations).filter(state=TaskState.QUEUED)


def lost_tasks(agent: Agent, federations: Iterable[str], held: Collection[UUID]) -> QuerySet[Task]:
    """Tasks that the agent was given and has never spoken of: it does not know that it has them."""
    unheard = _tasks_for(agent, federations).filter(state=TaskState.LEASED, progress={})
    return unheard.filter(agent=agent).exclude(pk__in=held)


def may_have_work(agent: Agent, federations: Sequence[str]) -> bool:
    """Whether one of them has a task for the agent, or one that it may not know that it has.

    Most polls end with this one statement.
    """
    if not federations:
        return False
    slugs = {f"slug {place}": slug for place, slug in enumerate(federations)}
    found = _work_of(len(slugs)).first(agent=agent.pk, organisation=agent.organisation_id, **slugs)
    return found is not None


@lru_cache(maxsize=64)
def _work_of(federations: int) -> Asked:
    agent = Agent(pk=uuid4(), organisation_id=uuid4())
    slugs = {f"slug {place}": f"slug {place}" for place in range(federations)}
    is_unheard = Q(state=TaskState.LEASED, progress={}, agent=agent.pk)
    found = _tasks_for(agent, slugs).filter(Q(state=TaskState.QUEUED) | is_unheard)
    return Asked(
        found.order_by().values_list("pk")[:1],
        agent=agent.pk,
        organisation=agent.organisation_id,
        **slugs,
    )


def _tasks_for(agent: Agent, federations: Iterable[str]) -> QuerySet[Task]:
    return Task.objects.filter(
        IN_REACH,
        participation__organisation_id=agent.organisation_id,
        participation__state=ParticipationState.ACTIVE,
        round__run__federation__slug__in=list(federations),
        round__run__federation__state="active",
    ).order_by(IS_VALUING, "created_at", "id")


def rounds_wait_for(agent: Agent) -> bool:
    """Whether a round of one of the agent's federations waits for its organisation."""
    waiting = Task.objects.exclude(type=TaskType.VALUE).filter(
        participation__organisation_id=agent.organisation_id,
        participation__state=ParticipationState.ACTIVE,
        round__run__federation__slug__in=agent.federations,
        round__run__state=RunState.RUNNING,
        state=TaskState.QUEUED,
    )
    return waiting.exists()


def has_stopped(task: Task) -> bool:
    """Whether the agent has confirmed that it stopped the task, which was cancelled."""
    return Event.objects.filter(subject_id=task.pk, kind=STOPPED).exists()


def stopping_tasks(run_id: UUID, *, since: datetime) -> QuerySet[Task]:
    """Tasks that were cancelled while an agent had them, and that it has not confirmed yet."""
    confirmed = Event.objects.filter(subject_id=OuterRef("pk"), kind=STOPPED)
    cancelled = Task.objects.filter(
        round__run_id=run_id, state=TaskState.CANCELLED, agent__isnull=False, ended_at__gt=since
    )
    return cancelled.exclude(Exists(confirmed))


def current_round(run_id: UUID) -> Round | None:
    """The run's last round, whatever its state."""
    return Round.objects.filter(run_id=run_id).order_by("-number").first()


def rounds_of(run: Run) -> QuerySet[Round]:
    """A run's rounds for lists and charts: how many updates each has, and what its result lost.

    Of a version's report, which grows with the square of the updates, only the figures are read.
    """
    updates = Update.objects.filter(state=UpdateState.ACCEPTED, is_late=False)
    tasks = Task.objects.filter(type=TaskType.TRAIN)
    counted = run.rounds.annotate(
        accepted=_counted(updates),
        expected=_counted(tasks),
        relative_error=F("version__report__relative_error"),
        discarded_energy=F("version__report__discarded_energy"),
        ranks=F("version__report__ranks"),
    )
    return counted.select_related("version").defer("version__report", "version__plan")


def _counted(rows: QuerySet[Task] | QuerySet[Update]) -> Coalesce:
    """How many of the rows belong to a round; counted apart, since joins would multiply."""
    of_round = rows.filter(round=OuterRef("pk")).order_by().values("round")
    return Coalesce(Subquery(of_round.annotate(count=Count("pk")).values("count")), 0)


def methods_for(frozen: Round) -> dict[str, Variation]:
    """By key, what a frozen round's updates can be aggregated with; its own method first."""
    counted = [entry["update"] for entry in frozen.frozen]
    ranks = set(Update.objects.filter(pk__in=counted).values_list("rank", flat=True))
    return variations(
        frozen.run.typed_plan,
        round_number=frozen.number,
        updates=len(counted),
        is_mixed=len(ranks) > 1,
    )


def recomputations_visible_to(user: User) -> QuerySet[Recomputation]:
    return Recomputation.objects.filter(
        round__run__federation__in=federations_of(user)
    ).select_related("round__run", "round__version")


def with_replay(rounds: QuerySet[Round]) -> QuerySet[Round]:
    """Rounds with how their last replay ended, if there was one."""
    replay = Recomputation.objects.filter(round=OuterRef("pk"), is_own=True)
    return rounds.annotate(
        replay_state=Subquery(replay.values("state")[:1]),
        replay_digest=Subquery(replay.values("digest")[:1]),
        replayed_at=Subquery(replay.values("ended_at")[:1]),
    )


def events_of_run(run_id: UUID, *, after: int = 0) -> QuerySet[Event]:
    return Event.objects.filter(run_id=run_id, pk__gt=after).order_by("pk")


def events_visible_to(user: User) -> QuerySet[Event]:
    """Events of the person's federations, and of the person's own organisations."""
    own = user.organisations.values("pk")
    return Event.objects.filter(
        Q(federation_id__in=federations_of(user).values("pk"))
        | Q(federation_id__isnull=True, organisation_id__in=own)
    )
