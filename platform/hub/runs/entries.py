"""What enters a federation's ledger about its runs: docs/contributions.md has the table.

Each function is called in the transaction of the act, and may be called again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from federation.plan import canonical
from federation.protocol_ledger import LedgerRef
from hub.federations.entries import digest_of, is_told, micros, tell_keys
from hub.federations.models import Participation
from hub.ledger.models import Entry, EntryType
from hub.ledger.services import append
from hub.runs.models import Round, Run, Update

LONGEST_PLAN = 256 * 1024  # characters; of a longer one the ledger has the digest alone


def tell_started(run: Run) -> None:
    """The plan as it is from now on; what is signed about the run names its digest."""
    plan = canonical(run.plan).decode()
    append(
        ledger=run.federation_id,
        type=EntryType.RUN_STARTED,
        key=f"run:{run.pk}",
        payload={
            "run": str(run.pk),
            "number": run.number,
            "purpose": run.purpose,
            "plan_digest": run.plan_digest,
            "plan": plan if len(plan) <= LONGEST_PLAN else None,
            "trainers": [str(pk) for pk in run.trainers],
            "evaluators": [str(pk) for pk in run.evaluators],
            "parent": _name(run.parent_version_id),
            "probe_sha256": run.probe.artifact_id if run.probe else None,
        },
    )


def tell_opened(opened: Round, roster: Iterable[UUID]) -> None:
    """`roster`: the participations that are asked. Needs `run`."""
    append(
        ledger=opened.run.federation_id,
        type=EntryType.ROUND_OPENED,
        key=opening_key(opened),
        payload={
            **_which(opened),
            "plan_digest": opened.run.plan_digest,
            "start": opened.start_id,
            "roster": sorted(map(str, roster)),
        },
    )


def opening_key(opened: Round) -> str:
    return f"round:{opened.pk}:opened"


def opening_of(current: Round) -> LedgerRef | None:
    """Where the ledger opens the round; None for one that was opened before there was a ledger."""
    federation = current.run.federation_id
    entry = Entry.objects.filter(
        ledger=federation, key=opening_key(current), position__isnull=False
    )
    index = entry.values_list("position", flat=True).first()
    return None if index is None else LedgerRef(federation=federation, covers=index)


def submission_key(update: Update) -> str:
    return f"update:{update.pk}"


def tell_submitted(update: Update) -> None:
    """The statement as it was signed, and before it the key, should the ledger not know it yet."""
    place, key_id = update.participation, str(update.statement["key_id"])
    if not is_told(key_id, place):
        tell_keys(place)
    append(
        ledger=place.federation_id,
        type=EntryType.UPDATE_SUBMITTED,
        key=submission_key(update),
        payload={
            "update": str(update.pk),
            "round": str(update.round_id),
            "participation": str(place.pk),
            "agent": str(update.agent_id),
            "key_id": key_id,
            "statement": canonical(update.statement).decode(),
            "signature": update.signature,
            "late": update.is_late,
        },
    )


def tell_judged(update: Update, *, by: Participation | None = None, reason: str = "") -> None:
    """The verdict that an update has now; `by` whom, where people have decided, and why."""
    append(
        ledger=update.round.run.federation_id,
        type=EntryType.UPDATE_JUDGED,
        key=f"update:{update.pk}:judged:{micros(update.state_changed_at)}",
        payload={
            "update": str(update.pk),
            "round": str(update.round_id),
            "participation": str(update.participation_id),
            "verdict": update.state,
            "code": update.verdict_code or None,
            "norm": update.norm,
            "decided_by": _name(by.pk) if by else None,
            "reason_sha256": digest_of(reason) if by else None,
        },
    )


def tell_closed(
    current: Round,
    counted: Sequence[Update],
    *,
    weights: Mapping[str, float],
    report: Mapping[str, Any],
) -> None:
    """What was counted with which weight, and what came of it. Needs `run` and `version`.

    The root of trust judges and has no weight of its own.
    """
    assert current.version is not None
    aggregation = current.run.typed_plan.aggregation
    append(
        ledger=current.run.federation_id,
        type=EntryType.ROUND_CLOSED,
        key=f"round:{current.pk}:closed",
        payload={
            **_which(current),
            "updates": [
                {
                    "update": str(update.pk),
                    "participation": str(update.participation_id),
                    "sha256": update.artifact_id,
                    "weight": weights.get(str(update.pk)),
                }
                for update in counted
            ],
            "strategy": aggregation.strategy,
            "rule": aggregation.rule,
            "result": current.version.adapter_id,
            "version": str(current.version.pk),
            "report_sha256": hashlib.sha256(canonical(dict(report))).hexdigest(),
        },
    )


def tell_failed(ended: Round) -> None:
    """Needs `run`."""
    append(
        ledger=ended.run.federation_id,
        type=EntryType.ROUND_FAILED,
        key=f"round:{ended.pk}:failed",
        payload={**_which(ended), "code": ended.failure_code},
    )


def _which(current: Round) -> dict[str, Any]:
    return {"run": str(current.run_id), "round": str(current.pk), "number": current.number}


def _name(pk: UUID | None) -> str | None:
    return str(pk) if pk else None
