"""What operators do to work that is stuck. Each leaves an event that says who, and why.

The sweeps would come to the same end by themselves; this is for when somebody waits. Nothing here
skips a check: a nudged job looks at the rows like any other.
"""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hub.accounts.models import User
from hub.catalogue.blobs.uploads import close_uploads
from hub.catalogue.models import Upload
from hub.common.actors import Actor
from hub.common.errors import NotFound
from hub.common.models import Stateful
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue, sweep
from hub.federations.models import Federation, FederationState
from hub.operations.switching import record
from hub.runs import services as runs
from hub.runs.models import Round, RoundState, Run, RunState, Task, TaskState, Update, UpdateState
from hub.runs.services.standstill import after_pause

S = TypeVar("S", bound=Stateful)

JOB_OF_RUN = {RunState.QUEUED: Job.PREPARE_RUN, RunState.RUNNING: Job.ADVANCE_RUN}


@transaction.atomic
def nudge_run(*, run_id: UUID, actor: Actor, reason: str) -> None:
    """Ask for the job that takes the run on. A run that has ended, or rests, stays as it is."""
    run = _locked(Run, run_id)
    job = JOB_OF_RUN.get(RunState(run.state))
    if job is not None:
        enqueue(job, str(run.pk))
        run.record("nudged", actor=actor, reason=reason, data={"run": run.name})


@transaction.atomic
def nudge_round(*, round_id: UUID, actor: Actor, reason: str) -> None:
    """Ask for the round's aggregation where that is due, else for a look at its run."""
    found = Round.objects.select_related("run").filter(pk=round_id).first()
    if found is None:
        raise NotFound("no such round")
    if found.state == RoundState.AGGREGATING:
        enqueue(Job.AGGREGATE_ROUND, str(found.pk))
    else:
        enqueue(Job.ADVANCE_RUN, str(found.run_id))
    data = {"run": found.run.name, "round": found.number}
    found.record("nudged", actor=actor, reason=reason, data=data)


@transaction.atomic
def nudge_update(*, update_id: UUID, actor: Actor, reason: str) -> None:
    """Ask for the verdict on a received update again."""
    update = (
        Update.objects.select_related("round__run", "participation").filter(pk=update_id).first()
    )
    if update is None:
        raise NotFound("no such update")
    if update.state == UpdateState.RECEIVED:
        enqueue(Job.VALIDATE_UPDATE, str(update.pk))
        update.record("nudged", actor=actor, reason=reason)


@transaction.atomic
def requeue_task(*, task_id: UUID, actor: Actor, reason: str) -> None:
    """Take a lease back at once, without counting it as a failed attempt.

    What the agent that had it sends afterwards meets a state that refuses it. A task that nobody
    holds stays as it is.
    """
    task = (
        Task.objects.select_related("round__run", "participation", "agent")
        .select_for_update(of=("self",))
        .filter(pk=task_id)
        .first()
    )
    if task is None:
        raise NotFound("no such task")
    if task.state != TaskState.LEASED:
        return
    task.move_to(
        TaskState.QUEUED,
        actor=actor,
        reason=reason,
        attempts=max(task.attempts - 1, 0),
        lease_expires_at=None,
        data={"task": task.type, "round": task.round.number, "run": task.round.run.name},
    )
    wake(f"organisation:{task.participation.organisation_id}", f"run:{task.round.run_id}")


def fail_run(*, run_id: UUID, actor: Actor, reason: str) -> None:
    """End a run that cannot go on, with the operator's reason. One that has ended stays so."""
    runs.fail_run(run_id=run_id, code="failed_by_operator", reason=reason, actor=actor)


def fail_round(*, round_id: UUID, actor: Actor, reason: str) -> None:
    """End a round that cannot go on, and with it its run. What has ended stays as it is."""
    found = Round.objects.filter(pk=round_id).first()
    if found is None:
        raise NotFound("no such round")
    if not found.is_final:
        fail_run(run_id=found.run_id, actor=actor, reason=reason)


def close_upload(*, upload_id: UUID, actor: Actor, reason: str) -> None:
    """Close an upload with all that is open for its task; the agent begins anew."""
    upload = Upload.objects.filter(pk=upload_id).first()
    if upload is None:
        raise NotFound("no such upload")
    close_uploads(task_id=upload.task_id, actor=actor, reason=reason)


def resend_messages(*, actor: Actor, reason: str) -> int:
    """Send what the outbox still holds; returns how many messages were tried."""
    tried = sweep()
    record("outbox.resent", actor=actor, reason=reason, messages=tried)
    return tried


def pause_federation(*, federation_id: UUID, actor: Actor, reason: str) -> None:
    """Hand out no work, open no round, start no run, let nobody in. Twice is once."""
    _move_federation(federation_id, FederationState.PAUSED, actor, reason)


def resume_federation(*, federation_id: UUID, actor: Actor, reason: str) -> None:
    """Go on with it; deadlines have stood still meanwhile. Twice is once."""
    _move_federation(federation_id, FederationState.ACTIVE, actor, reason)


@transaction.atomic
def _move_federation(
    federation_id: UUID, state: FederationState, actor: Actor, reason: str
) -> None:
    federation = _locked(Federation, federation_id)
    if federation.state == state:
        return
    stood_still = timezone.now() - federation.state_changed_at
    federation.move_to(state, actor=actor, reason=reason, data={"federation": federation.name})
    if state == FederationState.ACTIVE:
        after_pause(federation=federation, by=stood_still)
        for run in federation.runs.filter(state=RunState.RUNNING).order_by("pk"):
            enqueue(Job.ADVANCE_RUN, str(run.pk))
    members = federation.participations.values_list("organisation_id", flat=True)
    wake(f"federation:{federation.pk}", *(f"organisation:{pk}" for pk in members))


@transaction.atomic
def make_operator(*, email: str, name: str, password: str) -> User:
    """Make the person with this address an operator; whoever has no account gets one."""
    from allauth.account.models import EmailAddress  # noqa: PLC0415  (needs the apps)

    email = email.strip().lower()
    user = User.objects.select_for_update().filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password, name=name)
    user.is_staff = user.is_active = True
    user.save(update_fields=["is_staff", "is_active"])
    EmailAddress.objects.get_or_create(
        user=user, email=email, defaults={"primary": True, "verified": True}
    )
    return user


def _locked(model: type[S], pk: UUID) -> S:
    found = model._default_manager.select_for_update().filter(pk=pk).first()  # noqa: SLF001
    if found is None:
        raise NotFound(f"no such {model.subject}")
    return found
