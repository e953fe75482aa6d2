"""Commit, then reveal: an organisation says which bytes it will send, before anybody sends any."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from federation.failpoints import failpoint
from federation.plan import canonical
from federation.protocol import TaskType
from federation.protocol_commitments import (
    COMMITMENT_LABEL,
    CommitmentIn,
    CommitmentOut,
    CommitmentStatement,
)
from federation.signatures import BadSignature, verify_bytes
from hub.common.wakeups import wake
from hub.ledger.models import EntryType
from hub.ledger.services import append
from hub.organisations.models import Agent
from hub.organisations.selectors import key_in_force
from hub.runs.commitment_models import Commitment, Unveiling
from hub.runs.errors import (
    AlreadyCommitted,
    BadStatementSignature,
    CommitmentsClosed,
    DuplicateContent,
    NothingToCommit,
    StatementMismatch,
)
from hub.runs.models import Task
from hub.runs.services.leases import require_lease
from hub.runs.services.lifecycle import describe
from hub.runs.services.locks import lock_task
from hub.runs.services.unveiling import is_past, lock_unveiling, open_if_due


@transaction.atomic
def commit_update(*, agent: Agent, task_id: UUID, message: CommitmentIn) -> CommitmentOut:
    """Record which bytes a participation will send. The same again gets the same answer.

    Raises:
        AlreadyCommitted: another digest is on record for this round.
        DuplicateContent: another organisation has committed to these bytes.
        CommitmentsClosed: the round has opened for updates.
    """
    task = lock_task(agent, task_id)
    unveiling = lock_unveiling(task.round_id)
    if unveiling is None or task.type != TaskType.TRAIN:
        raise NothingToCommit("send the update itself")
    commitment = _earlier(task, message.statement)
    if commitment is None:
        require_lease(task, agent=agent, fence=message.fence)
        _check(agent, task, message)
        commitment = _keep(agent, task, message, unveiling)
    open_if_due(unveiling, task.round)
    return CommitmentOut(
        commitment=commitment.pk,
        reveal=unveiling.opened_at is not None,
        deadline_at=unveiling.deadline_at,
    )


def _earlier(task: Task, statement: CommitmentStatement) -> Commitment | None:
    of_round = Commitment.objects.filter(round=task.round_id)
    earlier = of_round.filter(participation=task.participation_id).first()
    if earlier is not None and earlier.digest != statement.update_sha256:
        raise AlreadyCommitted(f"the commitment to {earlier.digest} stands")
    return earlier


def _check(agent: Agent, task: Task, message: CommitmentIn) -> None:
    said, run = message.statement, task.round.run
    facts: dict[str, object] = {
        "federation": run.federation.slug,
        "run": run.pk,
        "round": task.round.number,
        "task": task.pk,
        "plan_digest": run.plan_digest,
    }
    for name, value in facts.items():
        if getattr(said, name) != value:
            raise StatementMismatch(f"{name} should be {value}")
    key = key_in_force(agent, said.key_id)
    if key is None:
        raise StatementMismatch(f"key_id should be {agent.key_id}")
    try:
        verify_bytes(bytes(key.public_key), COMMITMENT_LABEL, _signed(said), message.signature)
    except BadSignature as bad:
        raise BadStatementSignature(str(bad)) from bad


def _signed(statement: CommitmentStatement) -> bytes:
    return canonical(statement.model_dump(mode="json"))


def _keep(agent: Agent, task: Task, message: CommitmentIn, unveiling: Unveiling) -> Commitment:
    if unveiling.opened_at is not None or is_past(unveiling):
        raise CommitmentsClosed("the round takes updates of those who have committed")
    digest = message.statement.update_sha256
    if Commitment.objects.filter(round=task.round_id, digest=digest).exists():
        raise DuplicateContent("each organisation trains its own update")
    failpoint("W21", "before")
    made = Commitment.objects.create(
        round=task.round,
        participation=task.participation,
        task=task,
        agent=agent,
        digest=digest,
        statement=message.statement.model_dump(mode="json"),
        signature=message.signature,
    )
    task.record("committed", actor=agent.actor, data=describe(task))
    append(
        ledger=task.round.run.federation_id,
        type=EntryType.UPDATE_COMMITTED,
        key=f"commitment:{made.pk}",
        payload=_entry(made, message),
    )
    transaction.on_commit(lambda: failpoint("W21", "after"))
    wake(f"run:{task.round.run_id}")
    return made


def _entry(made: Commitment, message: CommitmentIn) -> dict[str, Any]:
    return {
        "run": str(made.round.run_id),
        "round": str(made.round_id),
        "participation": str(made.participation_id),
        "digest": made.digest,
        "statement": _signed(message.statement).decode(),
        "signature": message.signature,
        "key_id": message.statement.key_id,
    }
