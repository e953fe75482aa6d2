"""How an open proposal ends: counted, decided once, and applied in the same transaction.

Whoever decides holds the federation, so that of two votes at one instant, or of a vote and the
close, one comes second and finds the proposal decided.
"""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from hub.accounts.models import User
from hub.common.actors import HUB
from hub.common.errors import DomainError, NotFound
from hub.common.languages import on_record
from hub.common.wakeups import wake
from hub.federations.models import (
    Federation,
    Participation,
    ParticipationState,
    Proposal,
    ProposalState,
)
from hub.federations.proposals import entries
from hub.federations.proposals.kinds import kind_named, words_of
from hub.federations.proposals.tallying import Outcome, Tally, outcome, settled, tally

OURS = 500  # from this status on a refusal is for us to mend, not for the members
logger = logging.getLogger(__name__)


def lock_federation(federation_id: UUID) -> Federation:
    """Hold a federation until the transaction ends; everything that decides does.

    Raises:
        NotFound: there is none.
    """
    rows = Federation.objects.select_for_update(no_key=True, of=("self",))
    found = rows.select_related("base_model").filter(pk=federation_id).first()
    if found is None:
        raise NotFound("no such federation")
    return found


def count_of(proposal: Proposal) -> Tally:
    """How the vote stands now; two queries."""
    active = Participation.objects.filter(
        pk__in=proposal.electorate, state=ParticipationState.ACTIVE
    )
    votes = dict(proposal.votes.values_list("participation_id", "choice"))
    return tally(proposal.electorate, set(active.values_list("pk", flat=True)), votes)


def settle(proposal: Proposal, *, user: User | None) -> Proposal:
    """Decide it now, if nothing can change the result any more. The federation is locked."""
    count = count_of(proposal)
    found = settled(proposal.typed_rule, count)
    return decide(proposal, found, count, user=user) if found else proposal


def decide(
    proposal: Proposal, result: Outcome, count: Tally, *, user: User | None = None
) -> Proposal:
    """End an open proposal with this result, and apply it if it is accepted.

    What its kind refuses to apply leaves no trace but the reason why it failed.
    """
    actor = user.actor if user else HUB
    if result != Outcome.ACCEPTED:
        return close(proposal, ProposalState(result), count, user=user, answer=why(result, count))
    try:
        with transaction.atomic(), on_record():
            close(proposal, ProposalState.ACCEPTED, count, user=user)
            kind_named(proposal.kind).apply(proposal, actor)
            proposal.save(update_fields=["result"])
    except DomainError as refusal:
        if refusal.status >= OURS:
            raise
        proposal.refresh_from_db(from_queryset=_with_places())
        return close(proposal, ProposalState.FAILED, count, user=user, answer=told(refusal))
    return proposal


def close(
    proposal: Proposal,
    state: ProposalState,
    count: Tally,
    *,
    user: User | None = None,
    answer: str = "",
) -> Proposal:
    """Write how it ended; the federation is locked."""
    actor = user.actor if user else HUB
    proposal.move_to(
        state,
        actor=actor,
        reason=answer,
        data={**said_of(proposal), "tally": words_for(count)},
        decided_at=timezone.now(),
        decided_by=user,
        answer=answer[:500],
    )
    entries.tell_decided(proposal, count)
    if state not in {ProposalState.ACCEPTED, ProposalState.FAILED}:
        kind_named(proposal.kind).not_applied(proposal, actor)
    wake(f"federation:{proposal.federation_id}")
    return proposal


def why(result: Outcome, count: Tally) -> str:
    """Why it was not accepted, for those who read only that."""
    if result == Outcome.LAPSED:
        return f"too few voted: {count.voted} of {count.electorate}"
    return ""


def told(refusal: DomainError) -> str:
    return f"{refusal.title} {refusal.detail}".strip()


def words_for(count: Tally) -> str:
    """«3 of 4 voted: 2 yes, 1 no, 0 abstained»."""
    return (
        f"{count.voted} of {count.electorate} voted: "
        f"{count.yes} yes, {count.no} no, {count.abstained} abstained"
    )


@on_record()
def said_of(proposal: Proposal) -> dict[str, object]:
    """What each event of a proposal says; needs `participation.organisation`."""
    return {
        "words": words_of(proposal),
        "kind": proposal.kind,
        "organisation": proposal.participation.organisation.name,
    }


def lock_proposal(proposal_id: UUID) -> Proposal:
    """The proposal as it is once its federation is ours. Raises NotFound."""
    found = Proposal.objects.filter(pk=proposal_id).values_list("federation_id", flat=True).first()
    if found is None:
        raise NotFound("there is no such proposal")
    federation = lock_federation(found)
    proposal = _with_places().get(pk=proposal_id)
    proposal.federation = federation
    return proposal


def look_again(federation_id: UUID) -> None:
    """The places of a federation have changed: open votes are counted anew, with the next sweep."""
    Proposal.objects.filter(federation=federation_id, state=ProposalState.OPEN).update(
        due_at=timezone.now()
    )


def close_due(*, limit: int = 100) -> int:
    """Close what is due, each in a transaction of its own; returns how many were looked at.

    Safe to run twice at once. What cannot be decided now, such as while a ledger is stopped, is
    looked at again with the next sweep.
    """
    due = Proposal.objects.filter(state=ProposalState.OPEN, due_at__lte=timezone.now())
    found = list(due.order_by("due_at").values_list("pk", flat=True)[:limit])
    for pk in found:
        try:
            close_if_due(proposal_id=pk)
        except DomainError as refusal:
            logger.warning("not closed", extra={"proposal": pk, "cause": refusal.code})
    return len(found)


@transaction.atomic
def close_if_due(*, proposal_id: UUID) -> Proposal:
    """The result of a vote whose time is up, or that changed places have settled. Twice is once."""
    proposal = lock_proposal(proposal_id)
    now = timezone.now()
    if not proposal.is_open or proposal.due_at > now:
        return proposal
    count = count_of(proposal)
    rule = proposal.typed_rule
    found = outcome(rule, count) if is_over(proposal, now) else settled(rule, count)
    if found is not None:
        return decide(proposal, found, count)
    proposal.due_at = proposal.closes_at
    proposal.save(update_fields=["due_at"])
    return proposal


def is_over(proposal: Proposal, now: datetime) -> bool:
    return proposal.closes_at <= now


def _with_places() -> QuerySet[Proposal]:
    return Proposal.objects.select_related("federation", "participation__organisation")
