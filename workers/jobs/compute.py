"""Jobs with tensors: minutes, in a solo worker.

Each claims, computes with no transaction open, and records in a short transaction that checks
that the claim still holds.
"""

from __future__ import annotations

import logging

from hub.catalogue.evaluation import scoring
from hub.catalogue.versions import distances, merging
from hub.contributions.cases.examining import begin_examination
from hub.dispatch import Job
from hub.runs import services
from hub.runs.errors import StaleClaim
from hub.runs.models import Run, RunState, Update, UpdateState
from jobs.aggregation import aggregate_claimed
from jobs.app import app
from jobs.comparison import compare_claimed
from jobs.distances import measure_claimed
from jobs.examining import examine as examine_updates
from jobs.merging import merge_claimed
from jobs.policies import PATIENT, identifier
from jobs.preparation import starting_adapter
from jobs.probing import measure
from jobs.recomputing import recompute
from jobs.stacking import stack
from jobs.validation import examine
from jobs.valuing import value

logger = logging.getLogger(__name__)


@app.task(name=Job.PREPARE_RUN.value, **PATIENT)
def prepare_run(run_id: str) -> None:
    """Make the adapter that round 1 starts from; delivered twice, it is the same bytes."""
    runs = Run.objects.select_related("federation__base_model", "parent_version")
    run = runs.filter(pk=identifier(run_id)).first()
    if run is None or run.state != RunState.QUEUED:
        return
    try:
        start = starting_adapter(run)
    except ValueError as refused:  # the plan does not fit the base model
        services.fail_run(run_id=run.pk, code="preparation_failed", reason=str(refused)[:450])
        return
    services.run_prepared(run_id=run.pk, start=start)


@app.task(name=Job.VALIDATE_UPDATE.value, **PATIENT)
def validate_update(update_id: str) -> None:
    """Give a received update its verdict; delivered twice, the first verdict stands."""
    updates = Update.objects.select_related("round__run", "artifact")
    update = updates.filter(pk=identifier(update_id)).first()
    if update is None or update.state != UpdateState.RECEIVED or update.is_late:
        return
    found = examine(update)
    services.record_verdict(
        update_id=update.pk,
        verdict=found.verdict,
        code=found.code,
        norm=found.norm,
        evidence=found.evidence,
    )


@app.task(name=Job.COMPARE_UPDATES.value, **PATIENT)
def compare_updates(round_id: str) -> None:
    """Set a round's updates beside each other; a second copy finds them compared."""
    claim = services.claim_comparison(round_id=identifier(round_id))
    if claim is None:
        return
    try:
        compare_claimed(claim)
    except StaleClaim:
        logger.warning("overtaken", extra={"round": round_id, "fence": claim.fence})


@app.task(name=Job.AGGREGATE_ROUND.value, **PATIENT)
def aggregate_round(round_id: str) -> None:
    """Aggregate a frozen round; a second copy cannot claim it, an overtaken one writes nothing."""
    claim = services.claim_aggregation(round_id=identifier(round_id))
    if claim is None:
        return
    try:
        aggregate_claimed(claim)
    except StaleClaim:
        logger.warning("overtaken", extra={"round": round_id, "fence": claim.fence})


@app.task(name=Job.EXAMINE_ROUND.value, **PATIENT)
def examine_round(round_id: str) -> None:
    """Look at what a closed round shows; delivered twice, the second finds it looked at."""
    wanted = begin_examination(round_id=identifier(round_id))
    if wanted is not None:
        examine_updates(wanted)


@app.task(name=Job.RECOMPUTE_ROUND.value, **PATIENT)
def recompute_round(recomputation_id: str) -> None:
    """Compute a closed round again; delivered twice, the second finds it done."""
    pk = identifier(recomputation_id)
    claim = services.begin_recomputation(recomputation_id=pk)
    if claim is not None:
        recompute(pk, claim)


@app.task(name=Job.STACK_ROUND.value, **PATIENT)
def stack_round(stacking_id: str) -> None:
    """Take a closed round apart; delivered twice, the second finds it done."""
    pk = identifier(stacking_id)
    current = services.begin_stacking(stacking_id=pk)
    if current is not None:
        stack(pk, current)


@app.task(name=Job.MEASURE_ON_PROBE.value, **PATIENT)
def measure_on_probe(score_id: str) -> None:
    """Measure an adapter on a public probe set; delivered twice, the second finds it done."""
    wanted = scoring.begin_score(score_id=identifier(score_id))
    if wanted is not None:
        measure(wanted)


@app.task(name=Job.MERGE_MODEL.value, **PATIENT)
def merge_model(merged_id: str) -> None:
    """Work a version into its base's weights; delivered twice, the second finds it done."""
    claimed = merging.begin_merge(merged_id=identifier(merged_id))
    if claimed is not None:
        merge_claimed(claimed)


@app.task(name=Job.MEASURE_DISTANCE.value, **PATIENT)
def measure_distance(distance_id: str) -> None:
    """Measure how far two adapters are apart; delivered twice, the second finds it done."""
    claimed = distances.begin_distance(distance_id=identifier(distance_id))
    if claimed is not None:
        measure_claimed(claimed)


@app.task(name=Job.VALUE_ROUND.value, **PATIENT)
def value_round(valuation_id: str) -> None:
    """Do what is next for a valuation; several at once share the work, one too many does none."""
    value(identifier(valuation_id))
