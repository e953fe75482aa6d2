"""The life of a run: draft, queued, running, paused, and its three ends."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from federation.failpoints import failpoint
from federation.plan import Plan
from federation.protocol import TaskType
from federation.terms import TERMS
from hub.accounts.models import User
from hub.catalogue.blobs.uploads import close_uploads
from hub.catalogue.evaluation.probes import probe_for
from hub.catalogue.models import Artifact, ModelVersion
from hub.common.actors import HUB, Actor
from hub.common.errors import NotFound
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.errors import FederationDissolved
from hub.federations.models import Federation, FederationState, Participation
from hub.federations.selectors import contributing, require_place
from hub.organisations.permissions import Permission
from hub.runs.entries import tell_failed, tell_started
from hub.runs.errors import PlanRefused, RoundFrozen
from hub.runs.models import (
    Purpose,
    Round,
    RoundState,
    Run,
    RunState,
    Task,
    TaskState,
    Update,
    UpdateState,
)
from hub.runs.selectors import ACTIVE_ROUNDS, OPEN_TASKS, current_round
from hub.runs.services.agreed import require_agreed, require_no_vote
from hub.runs.services.budgets import require_affordable
from hub.runs.services.consent import require_accepted, require_signed, require_unpaused
from hub.runs.services.fitting import check_fit
from hub.runs.services.locks import database_now, lock_run
from hub.runs.services.probing import measure_start
from hub.runs.services.unveiling import prolong


@transaction.atomic
def create_run(
    *,
    user: User,
    federation_id: UUID,
    name: str,
    plan: Plan,
    purpose: Purpose = Purpose.FEDERATED,
    trainers: Sequence[UUID] = (),
    evaluators: Sequence[UUID] = (),
    parent_version_id: UUID | None = None,
) -> Run:
    """Draft a run of a federation; without `trainers`, every member but observers trains.

    Raises:
        NotFound: the federation, a participation or the parent version is not the caller's.
        PlanRefused: the plan cannot work with these participations.
        AgainstPolicy: the members have agreed on something else.
    """
    require_place(user, federation_id, Permission.START_RUNS)
    federation = Federation.objects.select_for_update().get(pk=federation_id)
    require_alive(federation)
    active = _active_participations(federation)
    training = _chosen(active, trainers)
    check_plan(plan, training)
    require_agreed(federation.typed_policy, plan, purpose=purpose, training=len(training))
    check_fit(plan, federation.base_model)
    run = Run.objects.create(
        federation=federation,
        number=_next_number(federation),
        name=name,
        purpose=purpose,
        plan=plan.model_dump(mode="json"),
        plan_digest=plan.digest(),
        created_by=user,
        trainers=[p.pk for p in training],
        evaluators=[p.pk for p in _chosen(active, evaluators)],
        parent_version=_parent(federation, parent_version_id),
    )
    run.record("drafted", actor=user.actor, data={"run": run.name})
    return run


@transaction.atomic
def start_run(*, user: User, run_id: UUID) -> Run:
    """Queue a draft; from here on its plan is frozen. Starting twice changes nothing.

    It is measured on the probe set that the federation has now, if its model can read that.

    Raises:
        VoteNeeded: it splits more credits than one member may decide on alone.
        LicencesMissing, CharterUnsigned, AgainstPolicy: as `begin` says.
    """
    run = _own_run(user, run_id)
    if run.state == RunState.DRAFT:
        require_no_vote(run)
        begin(run, actor=user.actor)
    return run


def begin(run: Run, *, actor: Actor) -> None:
    """Queue a draft that the caller has locked: one of the members, or all by a vote.

    Raises:
        FederationDissolved, FederationPaused: nothing starts in the federation.
        LicencesMissing: somebody who takes part has not accepted the base model's licence.
        CharterUnsigned: somebody who takes part has not signed the present charter.
        AgainstPolicy: the members have agreed on something else since, or the credits of the period
            are promised to other runs.
    """
    plan = run.typed_plan
    require_alive(run.federation)
    require_unpaused(run)
    require_accepted(run)
    require_signed(run)
    training = contributing(run.federation_id).filter(pk__in=run.trainers).count()
    policy = run.federation.typed_policy
    require_agreed(policy, plan, purpose=run.purpose, training=training)
    require_affordable(run)
    probe, why_not = probe_for(run.federation, plan)
    run.move_to(
        RunState.QUEUED,
        actor=actor,
        reason=why_not,
        probe=probe,
        data={"run": run.name},
    )
    tell_started(run)
    enqueue(Job.PREPARE_RUN, str(run.pk))
    _announce(run)


def require_alive(federation: Federation) -> None:
    """Raises FederationDissolved."""
    if federation.state == FederationState.DISSOLVED:
        raise FederationDissolved(_("%(name)s has ended.") % {"name": federation.name})


@transaction.atomic
def run_prepared(*, run_id: UUID, start: Artifact) -> None:
    """The starting adapter is stored: open round 1, or wait for signatures. Twice is once."""
    from hub.runs.services.rounds import open_next  # noqa: PLC0415  (rounds build on runs)

    run = lock_run(run_id)
    if run.state != RunState.QUEUED:
        return
    run.move_to(RunState.RUNNING, start=start, started_at=database_now(), data={"run": run.name})
    measure_start(run)
    open_next(run=run, number=1, start=start)
    _announce(run)


@transaction.atomic
def pause_run(*, user: User, run_id: UUID) -> Run:
    """Hand out no more work; what agents have begun may still come in. Twice is once."""
    run = _own_run(user, run_id)
    if run.state != RunState.PAUSED:
        run.move_to(RunState.PAUSED, actor=user.actor, data={"run": run.name})
        _announce(run)
    return run


@transaction.atomic
def resume_run(*, user: User, run_id: UUID) -> Run:
    """Go on where the run was paused; the round's deadline moves by the pause. Twice is once."""
    run = _own_run(user, run_id)
    if run.state == RunState.RUNNING:
        return run
    require_alive(run.federation)
    paused_at = run.state_changed_at
    run.move_to(RunState.RUNNING, actor=user.actor, data={"run": run.name})
    current = current_round(run.pk)
    if current is not None and current.state in ACTIVE_ROUNDS:
        paused_for = database_now() - paused_at
        current.deadline_at += paused_for
        current.save(update_fields=["deadline_at"])
        prolong(current, paused_for)
    enqueue(Job.ADVANCE_RUN, str(run.pk))
    _announce(run)
    return run


@transaction.atomic
def cancel_run(*, user: User, run_id: UUID, reason: str = "") -> Run:
    """Stop the run for good; agents learn it with their next heartbeat. Twice is once.

    Raises:
        RoundFrozen: the present round is being aggregated; its result is moments away.
    """
    run = _own_run(user, run_id)
    return cancel(run, actor=user.actor, reason=reason)


def cancel(run: Run, *, actor: Actor, reason: str) -> Run:
    """As `cancel_run`, of a run that its caller has locked."""
    if run.state == RunState.CANCELLED:
        return run
    current = current_round(run.pk)
    if current is not None and current.state == RoundState.AGGREGATING:
        raise RoundFrozen(
            _("round %(number)s of %(name)s is being aggregated")
            % {"number": current.number, "name": run.name}
        )
    run.move_to(
        RunState.CANCELLED,
        actor=actor,
        reason=reason,
        ended_at=database_now(),
        data={"run": run.name},
    )
    if current is not None and current.state in ACTIVE_ROUNDS:
        end_round(current, run=run, code="cancelled", actor=actor, reason="the run was cancelled")
    _announce(run)
    return run


@transaction.atomic
def fail_run(*, run_id: UUID, code: str, reason: str, actor: Actor = HUB) -> None:
    """End a run that cannot go on, with the reason. A run that has ended stays as it is."""
    run = lock_run(run_id)
    if run.is_final:
        return
    run.move_to(
        RunState.FAILED,
        actor=actor,
        reason=reason,
        failure_code=code,
        ended_at=database_now(),
        data={"run": run.name},
    )
    current = current_round(run.pk)
    if current is not None and current.state in ACTIVE_ROUNDS:
        end_round(current, run=run, code=code, actor=actor, reason=reason)
    _announce(run)


def end_round(current: Round, *, run: Run, code: str, actor: Actor, reason: str) -> None:
    """Fail an active round and withdraw its open tasks. The run is locked by the caller."""
    current.run = run
    withdraw_tasks(current, reason=reason)
    let_go(run, current, reason=reason)
    current.move_to(
        RoundState.FAILED,
        actor=actor,
        reason=reason,
        failure_code=code,
        summary=f"Ended without a result: {reason}."[:500],
        ended_at=database_now(),
        data={"round": current.number, "run": run.name},
    )
    tell_failed(current)
    failpoint("W17", "after")


def let_go(run: Run, last: Round, *, reason: str) -> None:
    """At a run's end, what was left open so that it could count late counts for nothing."""
    if run.typed_plan.rounds.late != "count":
        return
    for unfinished in run.rounds.filter(tasks__state__in=OPEN_TASKS).distinct():
        unfinished.run = run
        withdraw_tasks(unfinished, reason=reason)
    uncounted = Update.objects.filter(round__run=run, counted_in__isnull=True)
    if last.state != RoundState.CLOSED:
        uncounted = uncounted.exclude(round=last)
    uncounted.filter(state=UpdateState.ACCEPTED).update(is_late=True)


def withdraw_tasks(
    current: Round,
    *,
    reason: str,
    type: TaskType | None = None,  # noqa: A002
    only_queued: bool = False,
) -> list[Task]:
    """Cancel what is still queued or leased in a round; returns those tasks.

    `only_queued`: what somebody has begun may still come in, and count in a later round. What is
    about a valuation goes on: its round has closed before.
    """
    states = [TaskState.QUEUED] if only_queued else OPEN_TASKS
    of_type = {"type": type} if type else {"about__isnull": True}
    found = withdraw(current.tasks.filter(state__in=states, **of_type), reason=reason)
    for task in found:
        task.round = current
    return found


def withdraw(tasks: QuerySet[Task], *, reason: str) -> list[Task]:
    """Cancel these tasks; returns them."""
    found = list(
        tasks.select_related("round__run", "participation__organisation")
        .select_for_update(of=("self",))
        .order_by("pk")
    )
    for task in found:
        task.move_to(
            TaskState.CANCELLED,
            reason=reason,
            lease_expires_at=None,
            ended_at=database_now(),
            data=describe(task),
        )
        close_uploads(task_id=task.pk)
    return found


def describe(task: Task) -> dict[str, object]:
    """What an event about a task says; needs round.run, participation.organisation and agent."""
    return {
        "task": task.type,
        "round": task.round.number,
        "run": task.round.run.name,
        "organisation": task.participation.organisation.name,
        **({"agent": task.agent.name} if task.agent_id and task.agent else {}),
    }


def check_plan(plan: Plan, training: Sequence[Participation]) -> None:
    """Refuse, with the numbers, a plan that cannot work with these participations."""
    if len(training) < plan.rounds.quorum:
        raise PlanRefused(
            _("a quorum of %(quorum)s cannot be reached by %(training)s participations")
            % {"quorum": plan.rounds.quorum, "training": len(training)}
        )
    root = plan.aggregation.root
    if root is not None and root not in {p.organisation.slug for p in training}:
        raise PlanRefused(
            _("%(root)s, the root of trust, does not train in this run") % {"root": root}
        )
    ranks = {effective_rank(plan, p) for p in training}
    strategy = plan.aggregation.strategy
    if not TERMS[strategy].mixes_ranks and ranks != {plan.adapter.rank}:
        raise PlanRefused(
            _("%(strategy)s needs rank %(rank)s of all, these organisations have %(ranks)s")
            % {"strategy": strategy, "rank": plan.adapter.rank, "ranks": sorted(ranks)}
        )


def effective_rank(plan: Plan, participation: Participation) -> int:
    """The rank a participation trains: its own ceiling, never above the plan's."""
    return min(participation.rank or plan.adapter.rank, plan.adapter.rank)


def first_evaluated_round(plan: Plan) -> int:
    """The first round whose result is evaluated; with it the start is, too."""
    return 1 if plan.evaluation.every == "round" else plan.rounds.count


def _active_participations(federation: Federation) -> list[Participation]:
    return list(contributing(federation.pk))


def _chosen(active: Sequence[Participation], ids: Sequence[UUID]) -> list[Participation]:
    if not ids:
        return list(active)
    chosen = [p for p in active if p.pk in set(ids)]
    if len(chosen) != len(set(ids)):
        raise NotFound("not all of these are active participations of the federation")
    return chosen


def _next_number(federation: Federation) -> int:
    return (federation.runs.aggregate(last=Max("number"))["last"] or 0) + 1


def _parent(federation: Federation, version_id: UUID | None) -> ModelVersion | None:
    if version_id is None:
        return None
    found = federation.versions.filter(pk=version_id).first()
    if found is None:
        raise NotFound("no such version in this federation")
    return found


def _own_run(user: User, run_id: UUID) -> Run:
    run = lock_run(run_id)
    require_place(user, run.federation_id, Permission.START_RUNS)
    return run


def _announce(run: Run) -> None:
    wake(f"run:{run.pk}", f"federation:{run.federation_id}")
