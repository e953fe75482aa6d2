"""What enters a federation's ledger about its versions: docs/contributions.md has the table.

Each function is called in the transaction of the act, and may be called again.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from hub.catalogue.models import Artifact, Evaluation, ModelVersion
from hub.federations.entries import digest_of, micros
from hub.federations.models import Participation, Proposal
from hub.ledger.models import EntryType
from hub.ledger.services import append


def tell_published(version: ModelVersion, files: Mapping[str, Artifact]) -> None:
    append(
        ledger=version.federation_id,
        type=EntryType.VERSION_PUBLISHED,
        key=f"version:{version.pk}",
        payload={
            **_which(version),
            "parent": _name(version.parent_id),
            "base_model": str(version.base_model_id),
            "plan_digest": version.plan_digest,
            "adapter": version.adapter_id,
            "files": {path: artifact.pk for path, artifact in files.items()},
            "revision": version.revision,
            "is_baseline": version.is_baseline,
        },
    )


def tell_evaluated(evaluation: Evaluation) -> None:
    """Needs `participation`."""
    append(
        ledger=evaluation.participation.federation_id,
        type=EntryType.EVALUATION_RECORDED,
        key=f"evaluation:{evaluation.pk}",
        payload={
            "evaluation": str(evaluation.pk),
            "run": str(evaluation.run_id),
            "number": evaluation.round_number,
            "participation": str(evaluation.participation_id),
            "version": _name(evaluation.version_id),
            "adapter": evaluation.adapter_id,
            "examples": evaluation.examples,
            "correct": evaluation.correct,
            "tokens": evaluation.tokens,
            "loss_sum": evaluation.loss_sum,
        },
    )


def tell_released(version: ModelVersion, proposal: Proposal, before: ModelVersion | None) -> None:
    """What an accepted proposal has put in force; the votes have entries of their own."""
    append(
        ledger=proposal.federation_id,
        type=EntryType.RELEASE_DECIDED,
        key=f"proposal:{proposal.pk}:released",
        payload={
            **_which(version),
            "proposal": str(proposal.pk),
            "kind": proposal.kind,
            "outcome": proposal.state,
            "replaced": _name(before.pk) if before else None,
            "proposed_by": str(proposal.participation_id),
            "reason_sha256": digest_of(proposal.reason),
        },
    )


def tell_retired(version: ModelVersion, *, by: Participation, reason: str) -> None:
    """That a version was taken out of use without another in its place."""
    append(
        ledger=version.federation_id,
        type=EntryType.RELEASE_DECIDED,
        key=f"version:{version.pk}:retired:{micros(version.state_changed_at)}",
        payload={
            **_which(version),
            "proposal": None,
            "kind": "retirement",
            "outcome": version.state,
            "replaced": None,
            "proposed_by": str(by.pk),
            "decided_by": str(by.pk),
            "reason_sha256": digest_of(reason),
            "answer_sha256": None,
        },
    )


def _which(version: ModelVersion) -> dict[str, str | int]:
    return {"version": str(version.pk), "number": version.number}


def _name(pk: UUID | None) -> str | None:
    return str(pk) if pk else None
