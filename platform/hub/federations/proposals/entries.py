"""What enters a federation's ledger about its votes: docs/contributions.md has the table."""

from __future__ import annotations

from federation.ledger.entries import time_of
from hub.federations.entries import digest_of, micros, who
from hub.federations.models import Federation, Participation, Proposal, Vote
from hub.federations.proposals.tallying import Tally
from hub.ledger.models import EntryType
from hub.ledger.services import append


def tell_made(proposal: Proposal) -> None:
    append(
        ledger=proposal.federation_id,
        type=EntryType.PROPOSAL_MADE,
        key=f"proposal:{proposal.pk}:made",
        payload={
            "proposal": str(proposal.pk),
            "kind": proposal.kind,
            "terms_sha256": proposal.digest,
            "proposed_by": str(proposal.participation_id),
            "electorate": sorted(str(one) for one in proposal.electorate),
            "rule": proposal.rule,
            "closes_at": time_of(proposal.closes_at),
            "reason_sha256": digest_of(proposal.reason),
        },
    )


def tell_voted(vote: Vote, proposal: Proposal) -> None:
    append(
        ledger=proposal.federation_id,
        type=EntryType.VOTE_CAST,
        key=f"vote:{vote.pk}:{vote.number}",
        payload={
            "proposal": str(proposal.pk),
            "participation": str(vote.participation_id),
            "choice": vote.choice,
            "number": vote.number,
            "reason_sha256": digest_of(vote.reason),
        },
    )


def tell_decided(proposal: Proposal, count: Tally) -> None:
    append(
        ledger=proposal.federation_id,
        type=EntryType.PROPOSAL_DECIDED,
        key=f"proposal:{proposal.pk}:decided",
        payload={
            "proposal": str(proposal.pk),
            "kind": proposal.kind,
            "terms_sha256": proposal.digest,
            "outcome": proposal.state,
            "yes": count.yes,
            "no": count.no,
            "abstained": count.abstained,
            "electorate": count.electorate,
            "answer_sha256": digest_of(proposal.answer),
        },
    )


def tell_suspended(place: Participation, reason: str) -> None:
    _tell_place(EntryType.PARTICIPATION_SUSPENDED, place, reason)


def tell_restored(place: Participation, reason: str) -> None:
    _tell_place(EntryType.PARTICIPATION_RESTORED, place, reason)


def _tell_place(kind: EntryType, place: Participation, reason: str) -> None:
    append(
        ledger=place.federation_id,
        type=kind,
        key=f"participation:{place.pk}:{place.state}:{micros(place.state_changed_at)}",
        payload={**who(place), "reason_sha256": digest_of(reason)},
    )


def tell_lead(place: Participation, before: Participation, event: int) -> None:
    """`event`: the number of the one that says so, which tells several changes apart."""
    append(
        ledger=place.federation_id,
        type=EntryType.LEAD_CHANGED,
        key=f"lead:{place.pk}:{event}",
        payload={**who(place), "before": str(before.pk)},
    )


def tell_dissolved(federation: Federation, reason: str) -> None:
    append(
        ledger=federation.pk,
        type=EntryType.FEDERATION_DISSOLVED,
        key=f"federation:{federation.pk}:dissolved",
        payload={"federation": str(federation.pk), "reason_sha256": digest_of(reason)},
    )
