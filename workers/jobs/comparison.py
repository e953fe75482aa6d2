"""Comparing the updates of a claimed round with each other."""

from __future__ import annotations

from hub.catalogue.blobs.storage import store
from hub.runs import services
from hub.runs.services import Claim
from jobs.aggregation import holding, weighted
from jobs.single import probe_updates


def compare_claimed(claim: Claim) -> None:
    """Take the inner products of all updates, and have them judged by their peers.

    Where the run has a public probe set, what each does to the loss there is measured, too.

    Raises:
        StaleClaim: another worker has claimed the round since; nothing is written.
    """
    from federation.engine import AggregationRefused, evidence_of

    with holding(claim):
        try:
            probed = probe_updates(claim)
            evidence = evidence_of(
                start=store().local_path(claim.start),
                updates=[weighted(update, claim.plan) for update in claim.updates],
                scale=claim.plan.adapter.scale,
                travels=claim.plan.aggregation.travels(claim.round_number),
            )
        except AggregationRefused as refused:
            services.give_up(
                round_id=claim.round_id,
                fence=claim.fence,
                code=refused.code,
                reason=f"the updates cannot be compared: {refused.detail}",
            )
            return
    services.record_comparison(
        round_id=claim.round_id, fence=claim.fence, evidence=evidence, probed=probed
    )
