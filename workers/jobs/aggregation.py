"""Computing and publishing a claimed round."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from federation.compatibility import PLAIN_RULE
from federation.failpoints import failpoint
from federation.layout import LayoutRefused, read_layout
from federation.protocol import CONTROL_LOST
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.blobs.storage import store
from hub.catalogue.cards.files import version_files
from hub.catalogue.models import Artifact
from hub.contributions.services import publish_and_meter
from hub.runs import services
from hub.runs.services import Claim
from hub.runs.services.updates import statement_digest
from hub.runs.services.weights import is_root, weight_of
from jobs.folders import scratch

if TYPE_CHECKING:
    from federation.engine import AggregationReport, WeightedUpdate
    from federation.plan import Plan
    from hub.runs.models import Update


def aggregate_claimed(claim: Claim) -> None:
    """Compute the next adapter from the frozen inputs and publish it.

    The result is named by its content, so computing twice is writing once.

    Raises:
        StaleClaim: another worker has claimed the round since; nothing is written.
    """
    from federation.strategies import AggregationRefused

    with scratch() as folder, holding(claim):
        target, memory = folder / "adapter.safetensors", folder / "optimiser.safetensors"
        try:
            report = compute(claim, target, memory)
        except (AggregationRefused, LayoutRefused) as refused:
            services.give_up(
                round_id=claim.round_id,
                fence=claim.fence,
                code=refused.code,
                reason=f"aggregation refused: {refused.detail}",
            )
            return
        failpoint("W12", "before")
        adapter = adopt_file(path=target, sha256=report.digest)
        state = adopt_file(path=memory, sha256=report.state) if report.state else None
        failpoint("W12", "after")
        publish(claim, adapter, report, state)


def compute(claim: Claim, target: Path, state_target: Path) -> AggregationReport:
    """Run the engine over the claim's inputs, and write what comes of them to `target`.

    To `state_target` goes what the server's optimiser remembers, if anything.
    """
    from federation.engine import Method, aggregate

    return aggregate(
        start=store().local_path(claim.start),
        updates=[weighted(update, claim.plan) for update in claim.updates],
        method=Method.of(claim.plan, claim.round_number),
        target=target,
        evidence=claim.evidence,
        state=store().local_path(claim.optimiser_state) if claim.optimiser_state else None,
        state_target=state_target,
        members=len(claim.run.trainers),
    )


def weighted(update: Update, plan: Plan) -> WeightedUpdate:
    """An update as the engine takes it; needs `round` and `counted_in`."""
    from federation.engine import WeightedUpdate

    return WeightedUpdate(
        path=store().local_path(update.artifact_id),
        weight=weight_of(update, plan),
        rank=update.rank,
        digest=update.artifact_id,
        start=store().local_path(update.round.start_id),
        codec=plan.transfer.codec,
        is_root=is_root(update, plan),
        steps=update.steps,
        is_anew=bool(update.metrics.get(CONTROL_LOST)),
    )


def publish(
    claim: Claim, adapter: Artifact, report: AggregationReport, state: Artifact | None
) -> None:
    """Make the version's files and record everything in one transaction."""
    contributors = contributors_of(claim, report.weights)
    files = version_files(
        plan=claim.plan,
        federation=claim.run.federation,
        adapter=_published(adapter),
        contributors=contributors,
    )
    publish_and_meter(
        round_id=claim.round_id,
        fence=claim.fence,
        adapter=adapter,
        files=files,
        rank=claim.plan.adapter.rank,
        contributors=contributors,
        report={**report.as_dict(), **remembered_of(claim, report)},
        optimiser_state=state,
    )


def remembered_of(claim: Claim, report: AggregationReport) -> dict[str, object]:
    """Of which updates the state holds control variates, by participation; none after a loss."""
    if not services.is_controlled(claim.plan):
        return {}
    if any(update.metrics.get(CONTROL_LOST) for update in claim.updates):
        return {"control_after": {}}
    counted = {
        str(update.participation_id): statement_digest(update.statement)
        for update in claim.updates
        if update.artifact_id in report.controls
    }
    return {"control_after": {**claim.control_after, **counted}}


def _published(state: Artifact) -> Artifact:
    """What others load of a round's state; mostly the state itself."""
    from federation import publishing

    path = store().local_path(state.pk)
    if publishing.is_plain(read_layout(path)):
        return state
    with scratch() as folder:
        target = folder / "published.safetensors"
        digest = publishing.publish(path, target)
        return adopt_file(path=target, sha256=digest)


def contributors_of(claim: Claim, judged: Mapping[str, float]) -> list[dict[str, Any]]:
    """Who counts with which weight, in the order of the digests.

    That is the share of the examples, or where a rule judges, what it `judged` by digest. The root
    of trust is not among them: its update judges, and nothing of it is in the result.
    """
    total = fsum(weight_of(u, claim.plan) for u in claim.updates)
    is_shared = claim.plan.aggregation.rule == PLAIN_RULE
    return [
        {
            "update": str(u.pk),
            "organisation": u.participation.organisation.name,
            "digest": u.artifact_id,
            "statement": statement_digest(u.statement),
            "examples": u.examples,
            "weight": weight_of(u, claim.plan) / total if is_shared else judged[u.artifact_id],
            **({"staleness": u.staleness} if u.staleness else {}),
        }
        for u in claim.updates
        if not is_root(u, claim.plan)
    ]


@contextmanager
def holding(claim: Claim) -> Iterator[None]:
    """Renew the claim while the work lasts, from a thread with its own connection."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(settings.CLAIM_SECONDS / 3):
            services.renew_claim(round_id=claim.round_id, fence=claim.fence)
        connection.close()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=10)
