"""The refusals of runs, rounds, tasks and updates."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _noop

from hub.common.errors import DomainError, Invalid


class PlanRefused(Invalid):
    code = "plan_refused"
    title = _noop("This plan cannot work.")


class AgainstPolicy(DomainError):
    code = "against_policy"
    title = _noop("The federation's policy does not allow such a run.")


class VoteNeeded(DomainError):
    code = "vote_needed"
    title = _noop("The members have to vote on this first.")


class LeaseLost(DomainError):
    code = "lease_lost"
    title = _noop("The task is no longer yours.")


class TaskOver(DomainError):
    status = 410
    code = "task_over"
    title = _noop("The round or run that this task belonged to has ended.")


class LateUpdate(DomainError):
    status = 410
    code = "late"
    title = _noop("The round had closed; the update is recorded as late and counts for nothing.")


class AlreadySubmitted(DomainError):
    code = "already_submitted"
    title = _noop("This organisation's update for the round is already in.")


class DuplicateContent(DomainError):
    code = "duplicate_content"
    title = _noop("Another organisation has sent exactly these bytes.")


class AlreadyCommitted(DomainError):
    code = "already_committed"
    title = _noop("This organisation has committed to another update.")


class CommitmentsClosed(DomainError):
    status = 410
    code = "commitments_closed"
    title = _noop("The time to commit to an update of this round is over.")


class NothingToCommit(DomainError):
    code = "nothing_to_commit"
    title = _noop("Updates of this round are sent without a commitment.")


class NotCommitted(DomainError):
    code = "not_committed"
    title = _noop("The organisation has not committed to this update.")


class RevealNotOpen(DomainError):
    code = "reveal_not_open"
    title = _noop("The round does not take updates yet.")


class UploadIncomplete(DomainError):
    code = "upload_incomplete"
    title = _noop("The update's bytes have not all arrived.")


class StatementMismatch(Invalid):
    code = "statement_mismatch"
    title = _noop("The signed statement does not describe this task.")


class ExamplesAboveDeclaration(Invalid):
    code = "examples_above_declaration"
    title = _noop("There are more examples in it than the organisation has declared.")


class BadStatementSignature(Invalid):
    code = "bad_signature"
    title = _noop("The signature does not belong to the statement and the agent's key.")


class BaseModelMismatch(DomainError):
    status = 412
    code = "base_model_mismatch"
    title = _noop("The update does not start from this round's adapter.")


class UpdateRefused(Invalid):
    """The update's bytes are not what the plan asks for; `code` is the layout check's."""

    title = _noop("The update is not what the plan asks for.")

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code  # type: ignore[misc]


class RoundFrozen(DomainError):
    code = "round_frozen"
    title = _noop("The round is being aggregated; try again in a moment.")


class RoundOpen(DomainError):
    code = "round_open"
    title = _noop("Only a closed round can be computed again.")


class NotAttributable(DomainError):
    status = 403
    code = "not_attributable"
    title = _noop("The updates of this round are not for its members to tell apart.")


class NotStacked(DomainError):
    code = "not_stacked"
    title = _noop("The round's stacked adapter is not there.")


class StaleClaim(DomainError):
    code = "stale_claim"
    title = _noop("Another worker has taken this over.")


class NotComparable(DomainError):
    code = "not_comparable"
    title = _noop("This run cannot be compared with what each organisation reaches alone.")
