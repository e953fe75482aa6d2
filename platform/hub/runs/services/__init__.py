"""Everything that writes runs. Locks are taken run, round, task, update: never the other way."""

from __future__ import annotations

from hub.runs.services.claims import Claim, give_up, renew_claim
from hub.runs.services.committing import commit_update
from hub.runs.services.comparing import claim_comparison, record_comparison
from hub.runs.services.ending import end_runs, end_what_is_due
from hub.runs.services.leases import (
    end_work,
    expire_leases,
    fail_task,
    heartbeat,
    lease_task,
    release_task,
    retire_agent,
)
from hub.runs.services.lifecycle import (
    cancel_run,
    create_run,
    fail_run,
    pause_run,
    resume_run,
    run_prepared,
    start_run,
)
from hub.runs.services.memories import brought_bytes, is_controlled, remembered
from hub.runs.services.recomputing import (
    begin_recomputation,
    fail_recomputation,
    recompute_round,
    recompute_without,
    record_recomputation,
    replay_round,
)
from hub.runs.services.reconciler import reconcile
from hub.runs.services.rounds import (
    advance_federation,
    advance_run,
    claim_aggregation,
    publish_round,
)
from hub.runs.services.stacking import (
    begin_stacking,
    fail_stacking,
    record_stacking,
    stack_round,
    stacked_adapter,
)
from hub.runs.services.updates import (
    begin_update_upload,
    judge_update,
    record_verdict,
    submit_evaluation,
    submit_update,
)

__all__ = [
    "Claim",
    "advance_federation",
    "advance_run",
    "begin_recomputation",
    "begin_stacking",
    "begin_update_upload",
    "brought_bytes",
    "cancel_run",
    "claim_aggregation",
    "claim_comparison",
    "commit_update",
    "create_run",
    "end_runs",
    "end_what_is_due",
    "end_work",
    "expire_leases",
    "fail_recomputation",
    "fail_run",
    "fail_stacking",
    "fail_task",
    "give_up",
    "heartbeat",
    "is_controlled",
    "judge_update",
    "lease_task",
    "pause_run",
    "publish_round",
    "recompute_round",
    "recompute_without",
    "reconcile",
    "record_comparison",
    "record_recomputation",
    "record_stacking",
    "record_verdict",
    "release_task",
    "remembered",
    "renew_claim",
    "replay_round",
    "resume_run",
    "retire_agent",
    "run_prepared",
    "stack_round",
    "stacked_adapter",
    "start_run",
    "submit_evaluation",
    "submit_update",
]
