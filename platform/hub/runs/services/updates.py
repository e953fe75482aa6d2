"""What comes back from agents: updates with signed statements, and evaluations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from federation.coded import check_update
from federation.failpoints import failpoint
from federation.layout import LayoutRefused, read_layout
from federation.plan import canonical
from federation.protocol import (
    EvaluationIn,
    Receipt,
    TaskType,
    UpdateIn,
    UpdateStatement,
    UploadIn,
)
from federation.signatures import BadSignature, verify_bytes
from hub.accounts.models import User
from hub.catalogue.blobs.storage import store
from hub.catalogue.blobs.uploads import begin_upload
from hub.catalogue.models import Artifact, Upload, UploadState
from hub.common.errors import Invalid
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.selectors import require_place
from hub.ledger.services import settle
from hub.organisations.models import Agent
from hub.organisations.permissions import Permission
from hub.organisations.selectors import hub_key, key_in_force
from hub.runs.entries import submission_key, tell_judged, tell_submitted
from hub.runs.errors import (
    AlreadySubmitted,
    BadStatementSignature,
    BaseModelMismatch,
    DuplicateContent,
    ExamplesAboveDeclaration,
    LateUpdate,
    StatementMismatch,
    UpdateRefused,
    UploadIncomplete,
)
from hub.runs.models import RoundState, Task, TaskState, Update, UpdateState
from hub.runs.selectors import updates_visible_to
from hub.runs.services.declared import declared_examples, refusal_of, reject_inflated
from hub.runs.services.duplicates import note_duplicate
from hub.runs.services.evaluating import record_results
from hub.runs.services.leases import require_lease
from hub.runs.services.lifecycle import describe, effective_rank
from hub.runs.services.locks import database_now, lock_round, lock_task, lock_task_and_round
from hub.runs.services.patience import grant_time
from hub.runs.services.unveiling import require_revealing

STATEMENT_LABEL = "fl-update-v1"
RECEIPT_LABEL = "fl-receipt-v1"
PLACED_LABEL = "fl-receipt-v2"  # with the entry's place in the ledger


@transaction.atomic
def begin_update_upload(*, agent: Agent, task_id: UUID, message: UploadIn) -> Upload:
    """Announce the update's bytes; announced twice, the same upload goes on."""
    task = lock_task(agent, task_id)
    require_lease(task, agent=agent, fence=message.fence)
    require_revealing(task, message.sha256)
    return begin_upload(
        agent=agent,
        task_id=task.pk,
        message=message,
        limit_bytes=task.round.run.federation.largest_update_bytes,
        federation_id=task.round.run.federation_id,
    )


def submit_update(*, agent: Agent, task_id: UUID, message: UpdateIn) -> Receipt:
    """Record a participation's update and sign for it; the same again gets the same receipt.

    Raises:
        LateUpdate: the round had closed; recorded as late when the plan says so.
        ExamplesAboveDeclaration: more than the organisation has signed for; recorded as rejected.
        AlreadySubmitted: another update of this organisation is in.
    """
    try:
        update = _submit(agent=agent, task_id=task_id, message=message)
    except DuplicateContent:
        note_duplicate(agent=agent, task_id=task_id, digest=message.statement.update_sha256)
        raise
    if update.verdict_code == ExamplesAboveDeclaration.code:
        raise refusal_of(update)
    if update.is_late:
        raise LateUpdate("the round closed before this update came in")
    return Receipt.model_validate(update.receipt)


@transaction.atomic
def _submit(*, agent: Agent, task_id: UUID, message: UpdateIn) -> Update:
    task = lock_task_and_round(agent, task_id)
    earlier = Update.objects.filter(round=task.round, participation=task.participation).first()
    if earlier is not None:
        return _same(earlier, message)
    late = is_late(task)
    if not late:
        require_lease(task, agent=agent, fence=message.fence)
    check_statement(task, message.statement)
    check_signature(agent, message)
    require_revealing(task, message.statement.update_sha256)
    artifact = _uploaded(task, agent, message.statement)
    check_bytes(task, artifact)
    update = _store_update(task, agent, message, artifact, late=late)
    declared = declared_examples(task.participation)
    if declared is not None and update.examples > declared:
        reject_inflated(task, update, declared=declared)
    elif not late:
        _complete(task, agent, update)
        _sign_place(update)
    return update


def _same(earlier: Update, message: UpdateIn) -> Update:
    if statement_digest(earlier.statement) != statement_digest(_dump(message.statement)):
        raise AlreadySubmitted("another update of this organisation is in")
    return earlier


def is_late(task: Task) -> bool:
    """The round goes on or has closed without this update, and the plan keeps a record of such."""
    recorded = task.round.run.typed_plan.rounds.late == "record"
    goes_on = task.round.state != RoundState.FAILED
    return task.state == TaskState.CANCELLED and goes_on and recorded


def check_statement(task: Task, statement: UpdateStatement) -> None:
    """Refuse a statement that says something else than the task does."""
    run = task.round.run
    facts: dict[str, object] = {
        "federation": run.federation.slug,
        "run": run.pk,
        "round": task.round.number,
        "task": task.pk,
        "participation_rank": effective_rank(run.typed_plan, task.participation),
        "plan_digest": run.plan_digest,
    }
    for name, value in facts.items():
        if getattr(statement, name) != value:
            raise StatementMismatch(f"{name} should be {value}")
    if statement.start_sha256 != task.round.start_id:
        raise BaseModelMismatch(f"this round starts from {task.round.start_id}")


def check_signature(agent: Agent, message: UpdateIn) -> None:
    """The statement names its key: the agent's present one, or one that was until lately."""
    key = key_in_force(agent, message.statement.key_id)
    if key is None:
        raise StatementMismatch(f"key_id should be {agent.key_id}")
    try:
        verify_bytes(
            bytes(key.public_key),
            STATEMENT_LABEL,
            canonical(_dump(message.statement)),
            message.signature,
        )
    except BadSignature as bad:
        raise BadStatementSignature(str(bad)) from bad


def _uploaded(task: Task, agent: Agent, statement: UpdateStatement) -> Artifact:
    """The artifact that this agent sent for this task; known bytes alone are not enough."""
    uploads = Upload.objects.filter(
        agent=agent, task_id=task.pk, sha256=OuterRef("pk"), state=UploadState.COMPLETE
    )
    rivals = _rivals(task).filter(artifact=OuterRef("pk"))
    known = Artifact.objects.filter(Exists(uploads), pk=statement.update_sha256)
    artifact = known.annotate(is_taken=Exists(rivals)).first()
    if artifact is None:
        raise UploadIncomplete(f"{statement.update_sha256} has not been uploaded for this task")
    if artifact.size_bytes != statement.size_bytes:
        raise StatementMismatch(f"size_bytes should be {artifact.size_bytes}")
    if artifact.is_taken:
        raise DuplicateContent("each organisation trains its own update")
    return artifact


def _rivals(task: Task) -> QuerySet[Update]:
    """The updates beside which a task's update may come to count."""
    if task.round.run.typed_plan.rounds.late == "count":
        return Update.objects.filter(round__run_id=task.round.run_id)
    return Update.objects.filter(round=task.round)


def check_bytes(task: Task, artifact: Artifact) -> None:
    """The header must be exactly what the plan asks for; the values are checked by a job."""
    plan = task.round.run.typed_plan
    try:
        check_update(
            store().local_path(artifact.pk),
            start=read_layout(store().local_path(task.round.start_id)),
            rank=effective_rank(plan, task.participation),
            codec=plan.transfer.codec,
            travels=plan.aggregation.travels(task.round.number),
        )
    except LayoutRefused as refused:
        raise UpdateRefused(refused.detail, code=refused.code) from refused


def _store_update(
    task: Task, agent: Agent, message: UpdateIn, artifact: Artifact, *, late: bool
) -> Update:
    failpoint("W09", "before")
    said = message.statement
    update = Update(
        round=task.round,
        participation=task.participation,
        task=task,
        agent=agent,
        artifact=artifact,
        rank=said.participation_rank,
        examples=said.examples,
        tokens=said.tokens,
        steps=said.steps,
        device_seconds=said.device_seconds,
        metrics=said.metrics,
        is_late=late,
        statement=_dump(said),
        signature=message.signature,
    )
    update.receipt = sign_receipt(update).model_dump(mode="json")
    update.save(force_insert=True)
    what = "late" if late else "received"
    update.record(
        what,
        actor=agent.actor,
        data={**describe(task), "examples": said.examples, "size_bytes": artifact.size_bytes},
    )
    tell_submitted(update)
    transaction.on_commit(lambda: failpoint("W09", "after"))
    return update


def _complete(task: Task, agent: Agent, update: Update) -> None:
    task.move_to(
        TaskState.COMPLETED,
        actor=agent.actor,
        lease_expires_at=None,
        ended_at=database_now(),
        data=describe(task),
    )
    enqueue(Job.VALIDATE_UPDATE, str(update.pk))
    wake(f"run:{task.round.run_id}")


def sign_receipt(update: Update) -> Receipt:
    """The hub's signed word that it holds the update."""
    key = hub_key()
    receipt = Receipt(
        update=update.pk,
        statement_sha256=statement_digest(update.statement),
        received_at=database_now(),
        hub_key_id=key.key_id,
        signature="",
    )
    signature = key.sign(RECEIPT_LABEL, canonical(receipt.signed_part()))
    return receipt.model_copy(update={"signature": signature})


def _sign_place(update: Update) -> None:
    """Sign for the place of its entry in the ledger, too. Nothing that waits may follow."""
    ledger, key = update.participation.federation_id, submission_key(update)
    index, leaf = settle(ledger=ledger, key=key)
    placed = Receipt.model_validate_json(json.dumps(update.receipt)).model_copy(
        update={"ledger_index": index, "entry_sha256": leaf.hex()}
    )
    signature = hub_key().sign(PLACED_LABEL, canonical(placed.ledger_part()))
    placed = placed.model_copy(update={"ledger_signature": signature})
    update.receipt = placed.model_dump(mode="json")
    update.save(update_fields=["receipt"])


def statement_digest(statement: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(statement)).hexdigest()


def _dump(statement: UpdateStatement) -> dict[str, Any]:
    return statement.model_dump(mode="json")


@transaction.atomic
def record_verdict(
    *,
    update_id: UUID,
    verdict: UpdateState,
    code: str = "",
    norm: float | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Accept, quarantine or reject a received update; a second verdict changes nothing."""
    update = _lock_update(update_id)
    if update.state != UpdateState.RECEIVED:
        return
    failpoint("W10", "before")
    update.move_to(
        verdict,
        reason=code,
        verdict_code=code,
        norm=norm,
        evidence=dict(evidence or {}),
        data={**_names(update), "code": code},
    )
    tell_judged(update)
    if verdict == UpdateState.QUARANTINED:
        grant_time(update.round)
    enqueue(Job.ADVANCE_RUN, str(update.round.run_id))
    transaction.on_commit(lambda: failpoint("W10", "after"))
    wake(f"run:{update.round.run_id}")


@transaction.atomic
def judge_update(*, user: User, update_id: UUID, accept: bool, reason: str) -> Update:
    """A person of the lead organisation decides on a quarantined update, with a reason."""
    visible = updates_visible_to(user).filter(pk=update_id).first()
    update = _lock_update(update_id if visible else UUID(int=0))
    judge = require_place(user, update.round.run.federation_id, Permission.JUDGE_UPDATES)
    if not reason.strip():
        raise Invalid("say why, for the record")
    update.move_to(
        UpdateState.ACCEPTED if accept else UpdateState.REJECTED,
        actor=user.actor,
        reason=reason,
        judged_by=user,
        evidence={**update.evidence, "sign": update.verdict_code},
        verdict_code=update.verdict_code if accept else "judged",
        data=_names(update),
    )
    tell_judged(update, by=judge, reason=reason)
    enqueue(Job.ADVANCE_RUN, str(update.round.run_id))
    wake(f"run:{update.round.run_id}")
    return update


def _lock_update(update_id: UUID) -> Update:
    round_id = Update.objects.values_list("round_id", flat=True).filter(pk=update_id).first()
    held = lock_round(round_id or UUID(int=0))
    update = (
        Update.objects.select_related("participation__organisation", "artifact", "agent")
        .select_for_update(of=("self",))
        .get(pk=update_id)
    )
    update.round = held
    return update


def _names(update: Update) -> dict[str, Any]:
    return {
        "round": update.round.number,
        "run": update.round.run.name,
        "organisation": update.participation.organisation.name,
    }


@transaction.atomic
def submit_evaluation(*, agent: Agent, task_id: UUID, message: EvaluationIn) -> None:
    """Record an organisation's evaluation of the round; the same again changes nothing.

    Raises:
        EvaluationInconsistent: these cannot be the sums of one test set; nothing is recorded.
    """
    task = lock_task_and_round(agent, task_id)
    if task.state == TaskState.COMPLETED:
        return
    require_lease(task, agent=agent, fence=message.fence)
    if task.type != TaskType.EVALUATE:
        raise Invalid("this task is not an evaluation")
    failpoint("W16", "before")
    record_results(task, message.results)
    task.move_to(
        TaskState.COMPLETED,
        actor=agent.actor,
        lease_expires_at=None,
        device_seconds=message.device_seconds,
        ended_at=database_now(),
        data=describe(task),
    )
    enqueue(Job.ADVANCE_RUN, str(task.round.run_id))
    transaction.on_commit(lambda: failpoint("W16", "after"))
    wake(f"run:{task.round.run_id}")
