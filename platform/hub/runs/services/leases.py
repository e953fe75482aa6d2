"""Handing out work: leases with a fence and an expiry, renewed by heartbeats."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from federation.failpoints import failpoint
from federation.plan import Plan
from federation.protocol import (
    ArtifactRef,
    BaseModelRef,
    EvaluateSpec,
    FailureIn,
    HeartbeatIn,
    HeartbeatOut,
    TaskOffer,
    TaskType,
    TrainSpec,
    Verdict,
)
from federation.protocol_values import ValueSpec
from hub.catalogue.blobs.uploads import close_uploads
from hub.catalogue.models import Artifact
from hub.common.actors import HUB, Actor
from hub.common.languages import on_record
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.models import Participation, ParticipationState
from hub.organisations.models import Agent, AgentState
from hub.runs.entries import opening_of
from hub.runs.errors import LeaseLost, TaskOver
from hub.runs.models import Task, TaskState
from hub.runs.point_models import TrainingPoint
from hub.runs.selectors import (
    OPEN_TASKS,
    has_stopped,
    lost_tasks,
    may_have_work,
    rounds_wait_for,
    waiting_tasks,
)
from hub.runs.services.evaluating import asked_of
from hub.runs.services.lifecycle import describe, effective_rank
from hub.runs.services.locks import database_now, lock_task
from hub.runs.services.memories import is_controlled, memory_of
from hub.runs.services.unveiling import opened_for

NOT_TAKING_PART = "not_taking_part"  # the place was suspended or has ended


def lease_task(
    *, agent: Agent, federations: Sequence[str], held: Collection[UUID] | None = None
) -> TaskOffer | None:
    """Lease the oldest waiting task to the agent, or nothing when there is none.

    An agent may have several, one for each of its devices; `held` are those that it knows of. One
    that it does not know of never arrived: it is offered again, with a new fence.
    """
    if not may_have_work(agent, federations):
        return None
    return _lease(agent, federations, held)


@transaction.atomic
def _lease(
    agent: Agent, federations: Sequence[str], held: Collection[UUID] | None
) -> TaskOffer | None:
    if held is not None and (lost := _locked(lost_tasks(agent, federations, held))):
        return _offer_again(lost)
    task = _locked(waiting_tasks(agent, federations))
    if task is None:
        return None
    failpoint("W04", "before")
    now = database_now()
    task.agent = agent
    task.move_to(
        TaskState.LEASED,
        actor=agent.actor,
        agent=agent,
        fence=task.fence + 1,
        attempts=task.attempts + 1,
        leased_at=now,
        lease_expires_at=now + timedelta(seconds=settings.LEASE_SECONDS),
        progress={},
        data=describe(task),
    )
    wake(f"run:{task.round.run_id}")
    transaction.on_commit(lambda: failpoint("W04", "after"))
    return offer(task)


def _offer_again(task: Task) -> TaskOffer:
    """The same lease from now on; the fence keeps out whoever heard of the first."""
    now = database_now()
    task.fence += 1
    task.leased_at, task.lease_expires_at = now, now + timedelta(seconds=settings.LEASE_SECONDS)
    task.save(update_fields=["fence", "leased_at", "lease_expires_at"])
    return offer(task)


def _locked(tasks: QuerySet[Task]) -> Task | None:
    """Most polls find nothing: the hundred columns that an offer needs are asked for afterwards."""
    found = tasks.only("pk").select_for_update(of=("self",), skip_locked=True).first()
    needed = ("round__start", "round__run__federation__base_model", "participation__organisation")
    return found and Task.objects.select_related(*needed).get(pk=found.pk)


def offer(task: Task) -> TaskOffer:
    """The message for a leased task; needs the rows that `lease_task` selects."""
    run = task.round.run
    assert task.lease_expires_at is not None
    return TaskOffer(
        id=task.pk,
        federation=run.federation.slug,
        federation_name=run.federation.name,
        run=run.pk,
        round=task.round.number,
        fence=task.fence,
        lease_expires_at=task.lease_expires_at,
        heartbeat_seconds=settings.HEARTBEAT_SECONDS,
        spec=_spec(task, run.typed_plan),
    )


def _spec(task: Task, plan: Plan) -> TrainSpec | EvaluateSpec | ValueSpec:
    run = task.round.run
    base_model = run.federation.base_model
    base = BaseModelRef(repo=base_model.repo, revision=base_model.revision)
    if task.type == TaskType.VALUE:
        about = {"plan": run.plan, "plan_digest": run.plan_digest, "base": base.model_dump()}
        return ValueSpec.model_validate_json(json.dumps({**task.details, **about}))
    if task.type == TaskType.TRAIN:
        memory = memory_of(task.round) if is_controlled(plan) else None
        return TrainSpec(
            plan=plan,
            plan_digest=run.plan_digest,
            base=base,
            start=_ref(task.round.start),
            rank=effective_rank(plan, task.participation),
            seed=task_seed(plan, task),
            control=_ref(memory.state) if memory else None,
            control_after=memory.control_after(task.participation_id) if memory else None,
            ledger=opening_of(task.round) if settings.LEDGER_VERIFIER_KEY else None,
        )
    asked = asked_of(task)
    return EvaluateSpec(
        plan=plan,
        plan_digest=run.plan_digest,
        base=base,
        candidates=asked.candidates,
        reference=asked.reference,
    )


def _ref(artifact: Artifact) -> ArtifactRef:
    return ArtifactRef(sha256=artifact.sha256, size_bytes=artifact.size_bytes)


def task_seed(plan: Plan, task: Task) -> int:
    """The same for the same plan, round and organisation, whoever trains and however often."""
    text = f"{plan.seed}/{task.round.number}/{task.participation.organisation.slug}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@transaction.atomic
def heartbeat(*, agent: Agent, task_id: UUID, message: HeartbeatIn) -> HeartbeatOut:
    """Renew the lease and note the progress; answers whether to go on."""
    task = lock_task(agent, task_id)
    reason = why_not_held(task, agent=agent, fence=message.fence)
    if reason:
        return HeartbeatOut(verdict=Verdict.CANCEL, reason=reason)
    if task.type == TaskType.VALUE and rounds_wait_for(agent):
        task.attempts -= 1
        _requeue(task, actor=HUB, reason="a round goes first")
        return HeartbeatOut(verdict=Verdict.CANCEL, reason="a round goes first")
    task.lease_expires_at = database_now() + timedelta(seconds=settings.LEASE_SECONDS)
    task.progress = message.progress.model_dump(mode="json")
    task.save(update_fields=["lease_expires_at", "progress"])
    if message.progress.loss is not None:
        TrainingPoint.objects.update_or_create(
            task=task,
            step=message.progress.step,
            defaults={
                "loss": message.progress.loss,
                "examples_per_second": message.progress.examples_per_second,
            },
        )
    wake(f"run:{task.round.run_id}")
    return HeartbeatOut(
        verdict=Verdict.CONTINUE,
        lease_expires_at=task.lease_expires_at,
        reveal=opened_for(task),
    )


def why_not_held(task: Task, *, agent: Agent, fence: int) -> str:
    """Why the agent does not hold the task any more; empty when it does."""
    if task.is_final:
        return f"the task is {task.state}"
    if task.participation.state != ParticipationState.ACTIVE:
        return "the organisation takes no part in the federation any more"
    if task.state != TaskState.LEASED or task.fence != fence or task.agent_id != agent.pk:
        return "the lease has passed on"
    return ""


def require_lease(task: Task, *, agent: Agent, fence: int) -> None:
    """Refuse an agent that does not hold the task now.

    Raises:
        TaskOver: the round or run has ended meanwhile.
        LeaseLost: somebody else has it, or the lease ran out.
    """
    reason = why_not_held(task, agent=agent, fence=fence)
    if task.state in {TaskState.CANCELLED, TaskState.FAILED}:
        raise TaskOver(reason)
    if reason:
        raise LeaseLost(reason)
    if task.lease_expires_at is None or task.lease_expires_at < database_now():
        raise LeaseLost("the lease ran out before this came in")


@transaction.atomic
def release_task(*, agent: Agent, task_id: UUID, fence: int) -> None:
    """The agent hands its lease back; another may take the task at once. Twice is once.

    Of a task that was cancelled meanwhile it says that nothing is done about it any more.
    """
    task = lock_task(agent, task_id)
    if why_not_held(task, agent=agent, fence=fence):
        _note_stopped(task, agent=agent, fence=fence)
        return
    task.attempts -= 1
    _requeue(task, actor=agent.actor, reason="handed back")


def _note_stopped(task: Task, *, agent: Agent, fence: int) -> None:
    """Leave one event for people who wait to hear it."""
    is_theirs = task.agent_id == agent.pk and task.fence == fence
    if not is_theirs or task.state != TaskState.CANCELLED or has_stopped(task):
        return
    task.record("stopped", actor=agent.actor, data=describe(task))
    wake(f"run:{task.round.run_id}")


@transaction.atomic
def fail_task(*, agent: Agent, task_id: UUID, message: FailureIn) -> None:
    """The agent could not do the task: try again while that may help, else give up."""
    task = lock_task(agent, task_id)
    require_lease(task, agent=agent, fence=message.fence)
    if message.retry and task.attempts < _attempts(task):
        _requeue(task, actor=agent.actor, reason=message.code)
        return
    _give_up(task, actor=agent.actor, code=message.code, detail=message.detail)


def expire_leases(*, limit: int = 200) -> int:
    """Take back what was not renewed; returns how many. Safe to run twice at once."""
    with transaction.atomic():
        overdue = list(
            Task.objects.select_related(
                "round__run__federation", "participation__organisation", "agent"
            )
            .select_for_update(of=("self",), skip_locked=True)
            .filter(state=TaskState.LEASED, lease_expires_at__lt=database_now())
            .order_by("lease_expires_at")[:limit]
        )
        for task in overdue:
            if task.attempts < _attempts(task):
                _requeue(task, actor=HUB, reason="the agent fell silent")
            else:
                _give_up(task, actor=HUB, code="lease_expired", detail="")
    return len(overdue)


@transaction.atomic
def retire_agent(*, agent_id: UUID) -> int:
    """Offer again what an agent held that is revoked or has left, and close its uploads.

    Returns how many leases it held; an agent that is active keeps them.
    """
    gone = Agent.objects.exclude(state=AgentState.ACTIVE).filter(pk=agent_id).first()
    if gone is None:
        return 0
    held = list(
        Task.objects.select_related("round__run__federation", "participation__organisation")
        .select_for_update(of=("self",))
        .filter(agent=gone, state=TaskState.LEASED)
        .order_by("pk")
    )
    with on_record():
        reason = f"the agent is {gone.get_state_display()}"
    for task in held:
        task.attempts -= 1
        _requeue(task, actor=HUB, reason=reason)
    close_uploads(agent_id=agent_id, reason="the agent is gone")
    return len(held)


@transaction.atomic
def end_work(*, participation_id: UUID) -> int:
    """Take back what a place holds that takes no part any more; its rounds go on without it.

    Returns how many tasks it had; a place that takes part keeps them.
    """
    if Participation.objects.filter(pk=participation_id, state=ParticipationState.ACTIVE).exists():
        return 0
    held = list(
        Task.objects.select_related("round__run__federation", "participation__organisation")
        .select_for_update(of=("self",))
        .filter(participation=participation_id, state__in=OPEN_TASKS)
        .order_by("pk")
    )
    for task in held:
        _give_up(task, actor=HUB, code=NOT_TAKING_PART, detail="")
    return len(held)


def _attempts(task: Task) -> int:
    return task.round.run.typed_plan.rounds.attempts


def _requeue(task: Task, *, actor: Actor, reason: str) -> None:
    """Back to the queue. Its uploads stay open: who trains it again may go on with them."""
    task.move_to(
        TaskState.QUEUED,
        actor=actor,
        reason=reason,
        attempts=task.attempts,
        lease_expires_at=None,
        data=describe(task),
    )
    wake(f"organisation:{task.participation.organisation_id}", f"run:{task.round.run_id}")


def _give_up(task: Task, *, actor: Actor, code: str, detail: str) -> None:
    task.move_to(
        TaskState.FAILED,
        actor=actor,
        reason=detail or code,
        failure_code=code,
        failure_detail=detail,
        lease_expires_at=None,
        ended_at=database_now(),
        data={**describe(task), "code": code},
    )
    close_uploads(task_id=task.pk)
    enqueue(Job.ADVANCE_RUN, str(task.round.run_id))
    wake(f"run:{task.round.run_id}")
