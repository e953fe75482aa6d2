"""How a round ended, in one sentence that names who was missing and why."""

from __future__ import annotations

from federation.protocol import CONTROL_LOST, DECLINED_BY_POLICY, TaskType
from hub.common.languages import on_record
from hub.runs.doings import in_words, why
from hub.runs.models import Round, Task, TaskState, Update, UpdateState
from hub.runs.services.memories import is_controlled
from hub.runs.services.unveiling import commits_first

REASONS = {
    TaskState.CANCELLED: "missed the deadline",
    TaskState.QUEUED: "did not start",
    TaskState.LEASED: "did not finish",
}


@on_record()
def closing_sentence(current: Round) -> str:
    """Such as "Closed with 3 of 4: Delta Clinic missed the deadline.", at most 500 characters."""
    tasks = _training_tasks(current)
    missing = missing_reasons(current, tasks)
    late = sum(1 for entry in current.frozen if entry.get("staleness"))
    count = f"Closed with {len(current.frozen) - late} of {len(tasks)}"
    if late:
        count += f" and {late} late update{'' if late == 1 else 's'}"
    sentence = f"{count}: {'; '.join(missing)}." if missing else f"{count}."
    return f"{sentence}{_losses(current)}"[:500]


def _losses(current: Round) -> str:
    """Who has not had the control variate that it was to go on from, in a sentence."""
    if not is_controlled(current.run.typed_plan):
        return ""
    counted = Update.objects.filter(pk__in=[entry["update"] for entry in current.frozen])
    updates = counted.select_related("participation__organisation")
    lost = sorted(
        update.participation.organisation.name
        for update in updates
        if update.metrics.get(CONTROL_LOST)
    )
    said = "its control variate" if len(lost) == 1 else "their control variates"
    return f" {', '.join(lost)} had lost {said}, so all begin anew with theirs." if lost else ""


@on_record()
def missing_sentence(current: Round, *, have: int, quorum: int) -> str:
    """Why a round could not close."""
    tasks = _training_tasks(current)
    missing = missing_reasons(current, tasks)
    count = f"Only {have} of {len(tasks)} came in, {quorum} are needed"
    return (f"{count}: {'; '.join(missing)}" if missing else count)[:450]


def missing_reasons(current: Round, tasks: list[Task]) -> list[str]:
    updates = {u.participation_id: u for u in current.updates.filter(is_late=False)}
    counted = {entry["update"] for entry in current.frozen}
    counts_late = current.run.typed_plan.rounds.late == "count"
    reasons = (
        (task, _reason(task, updates.get(task.participation_id), counts_late=counts_late))
        for task in tasks
    )
    return [
        f"{_name(task)} {reason}"
        for task, reason in reasons
        if not _counts(updates.get(task.participation_id), counted)
    ]


def _name(task: Task) -> str:
    return task.participation.organisation.name


def _counts(update: Update | None, counted: set[str]) -> bool:
    if update is None:
        return False
    return str(update.pk) in counted or update.state == UpdateState.ACCEPTED


def _reason(task: Task, update: Update | None, *, counts_late: bool) -> str:
    if update is not None and update.state == UpdateState.REJECTED:
        return f"sent an update that was rejected ({in_words(update.verdict_code)})"
    if update is not None and update.state == UpdateState.QUARANTINED:
        return "sent an update that is still in quarantine"
    if task.failure_code == DECLINED_BY_POLICY:
        return f"declined by its policy ({task.failure_detail})"
    if task.state == TaskState.FAILED:
        return f"could not do it ({why(task)})"
    return _missed(task, counts_late=counts_late)


def _missed(task: Task, *, counts_late: bool) -> str:
    if task.state == TaskState.LEASED and counts_late:
        return "is still training"
    if task.state == TaskState.CANCELLED and commits_first(task.round.run):
        return _unrevealed(task)
    return REASONS.get(TaskState(task.state), "is missing")


def _unrevealed(task: Task) -> str:
    """Who has committed had an update, and did not send it."""
    has_committed = hasattr(task, "commitment")
    return "committed to an update and did not send it" if has_committed else "did not commit"


def _training_tasks(current: Round) -> list[Task]:
    return list(
        current.tasks.filter(type=TaskType.TRAIN)
        .select_related("participation__organisation", "commitment", "round__run")
        .order_by("participation__organisation__name")
    )
