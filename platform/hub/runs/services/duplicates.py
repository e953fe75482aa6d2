"""Bytes that came twice: refused to whoever came second, and kept in mind for people."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from hub.common.models import Event
from hub.organisations.models import Agent
from hub.runs.commitment_models import Commitment
from hub.runs.models import Update
from hub.runs.services.lifecycle import describe
from hub.runs.services.locks import lock_task

DUPLICATED = "task.duplicated"  # the kind of an event


@transaction.atomic
def note_duplicate(*, agent: Agent, task_id: UUID, digest: str) -> None:
    """Leave an event that says whose bytes came again. Noted twice, it is one."""
    task = lock_task(agent, task_id)
    noted = Event.objects.filter(kind=DUPLICATED, subject_id=task.pk, data__sha256=digest)
    if noted.exists():
        return
    run_id, own = task.round.run_id, task.participation_id
    sent = Update.objects.filter(round__run=run_id, artifact=digest)
    said = Commitment.objects.filter(round__run=run_id, digest=digest)
    others = [
        other
        for rows in (sent, said)
        for other in rows.exclude(participation=own).values_list("participation_id", flat=True)
    ]
    data = {"sha256": digest, "participations": sorted({str(own), *map(str, others[:1])})}
    task.record("duplicated", actor=agent.actor, data={**describe(task), **data})
