"""What an agent says of its examples, beside what its organisation has signed for."""

from __future__ import annotations

from hub.common.actors import HUB
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.models import Participation
from hub.federations.selectors import declaration_of
from hub.runs.entries import tell_judged
from hub.runs.errors import ExamplesAboveDeclaration
from hub.runs.models import Task, TaskState, Update, UpdateState
from hub.runs.services.lifecycle import describe
from hub.runs.services.locks import database_now

CODE = ExamplesAboveDeclaration.code


def declared_examples(place: Participation) -> int | None:
    """How many examples its agents may say that they trained on; None: nothing is declared."""
    declared = declaration_of(place.pk)
    return declared.train_examples if declared else None


def check_tested(place: Participation, examples: int) -> None:
    """Raises ExamplesAboveDeclaration for an evaluation on more than the organisation has."""
    declared = declaration_of(place.pk)
    if declared and examples > declared.test_examples:
        raise ExamplesAboveDeclaration(
            f"{examples} examples were tested on, {declared.test_examples} are declared"
        )


def reject_inflated(task: Task, update: Update, *, declared: int) -> None:
    """Keep an update on record as rejected; its task has failed. The round is locked."""
    update.move_to(
        UpdateState.REJECTED,
        reason=CODE,
        verdict_code=CODE,
        evidence={"declared": declared, "examples": update.examples},
        data={**describe(task), "code": CODE},
    )
    tell_judged(update)
    if task.is_final:  # it was late as well
        return
    task.move_to(
        TaskState.FAILED,
        actor=HUB,
        reason=CODE,
        failure_code=CODE,
        lease_expires_at=None,
        ended_at=database_now(),
        data={**describe(task), "code": CODE},
    )
    enqueue(Job.ADVANCE_RUN, str(task.round.run_id))
    wake(f"run:{task.round.run_id}")


def refusal_of(update: Update) -> ExamplesAboveDeclaration:
    """What whoever sent a rejected one is told, each time the same."""
    found = update.evidence
    return ExamplesAboveDeclaration(
        f"{found['examples']} examples were trained on, {found['declared']} are declared"
    )
