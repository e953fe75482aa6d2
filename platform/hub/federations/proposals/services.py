"""Making proposals, voting on them, and taking them back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from federation.ledger.entries import canonical
from hub.accounts.models import User
from hub.common import text
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.wakeups import wake
from hub.federations.errors import FederationDissolved, NoVoice, ProposalClosed
from hub.federations.models import (
    Choice,
    Federation,
    FederationState,
    Participation,
    Proposal,
    ProposalState,
    Vote,
)
from hub.federations.proposals import entries
from hub.federations.proposals.deciding import (
    close,
    close_due,
    count_of,
    is_over,
    lock_federation,
    lock_proposal,
    said_of,
    settle,
)
from hub.federations.proposals.kinds import Kind, kind_named
from hub.federations.proposals.selectors import (
    places_with_voice,
    proposals_visible_to,
    voices_of,
)
from hub.federations.selectors import require_place
from hub.organisations.permissions import Permission

__all__ = ["close_due", "make", "propose", "vote", "withdraw"]

LONGEST_REASON = 450  # characters


@transaction.atomic
def propose(
    *, user: User, federation_id: UUID, kind: str, terms: Mapping[str, Any], reason: str
) -> Proposal:
    """Propose something to the members; while it is open, the same again answers with it.

    It is their yes, too, where the person may vote for the organisation. So what one voice
    decides is decided at once.

    Raises:
        NotFound, Forbidden: the person does not belong, or may not propose.
        KindUnknown, Invalid: the kind or the terms are none, or no reason is given.
        FederationDissolved: it has ended.
    """
    place = require_place(user, federation_id, Permission.MAKE_PROPOSALS)
    if not reason.strip():
        raise Invalid(_("Say why: those who vote read it."))
    return make(place=place, user=user, kind=kind, terms=terms, reason=reason)


@transaction.atomic
def make(
    *, place: Participation, user: User, kind: str, terms: Mapping[str, Any], reason: str
) -> Proposal:
    """As `propose`, for a place whose right to do so its caller has seen to.

    Raises:
        KindUnknown, Invalid, FederationDissolved: as `propose`; and what the kind refuses.
    """
    wanted = kind_named(kind)
    federation = lock_federation(place.federation_id)
    if federation.state == FederationState.DISSOLVED:
        raise FederationDissolved(_("%(name)s has ended.") % {"name": federation.name})
    checked = wanted.checked(federation, terms, user)
    reason = text.line(reason, most=LONGEST_REASON)
    digest = hashlib.sha256(canonical(checked).encode()).hexdigest()
    same = federation.proposals.filter(kind=kind, digest=digest, state=ProposalState.OPEN)
    if earlier := same.select_related("participation__organisation").first():
        return earlier
    said = {"terms": checked, "digest": digest, "reason": reason}
    proposal = _created(federation, place, user, wanted, said)
    if own := _place_voting(proposal, user, None):
        _cast(proposal, own, user, Choice.YES)
    return settle(proposal, user=user)


@transaction.atomic
def vote(
    *,
    user: User,
    proposal_id: UUID,
    choice: str,
    reason: str = "",
    participation_id: UUID | None = None,
) -> Proposal:
    """Say yes or no for an organisation, or abstain; until the close it may change its mind.

    The last vote that can change anything decides it, and applies it. The same vote twice is
    one. `participation_id`: for which place, where the person acts for several.

    Raises:
        NotFound, Forbidden: it is not the person's to see, or their role has no vote.
        NoVoice: their organisation has none in this matter.
        ProposalClosed: it has been decided, or its time is up.
        Invalid: this is no vote.
    """
    proposal = _visible(user, proposal_id)
    if choice not in Choice.values:
        raise Invalid(_("A vote is one of %(values)s.") % {"values": ", ".join(Choice.values)})
    place = _require_voice(proposal, user, participation_id)
    reason = text.line(reason, most=LONGEST_REASON)
    earlier = proposal.votes.filter(participation=place).first()
    is_same = earlier is not None and (earlier.choice, earlier.reason) == (choice, reason)
    if is_same and proposal.state != ProposalState.WITHDRAWN:
        return proposal
    _require_open(proposal)
    _cast(proposal, place, user, Choice(choice), reason=reason, earlier=earlier)
    return settle(proposal, user=user)


@transaction.atomic
def withdraw(*, user: User, proposal_id: UUID, reason: str = "") -> Proposal:
    """Take a proposal back, by anybody who proposes for the organisation. Twice is once.

    Raises:
        NotFound, Forbidden: it is not the person's to see, or another organisation's.
        ProposalClosed: it has been decided.
    """
    proposal = _visible(user, proposal_id)
    place = proposal.participation
    held = user.memberships.select_related("custom_role").filter(organisation=place.organisation_id)
    if not any(one.may(Permission.MAKE_PROPOSALS) for one in held):
        raise Forbidden(
            _("Only %(organisation)s takes its proposal back.")
            % {"organisation": place.organisation}
        )
    if proposal.state == ProposalState.WITHDRAWN:
        return proposal
    if not proposal.is_open:
        raise ProposalClosed(
            _("This proposal is %(state)s already.") % {"state": proposal.get_state_display()}
        )
    reason = text.line(reason, most=LONGEST_REASON)
    return close(proposal, ProposalState.WITHDRAWN, count_of(proposal), user=user, answer=reason)


def _created(
    federation: Federation,
    place: Participation,
    user: User,
    kind: Kind,
    said: Mapping[str, Any],  # terms, digest and reason
) -> Proposal:
    policy = federation.typed_policy
    is_led = kind.name in policy.led
    closes_at = timezone.now() + timedelta(days=policy.voting.days)
    silent = set(kind.silent(said["terms"]))
    voices = places_with_voice(federation, only_lead=is_led)
    proposal = Proposal.objects.create(
        federation=federation,
        kind=kind.name,
        participation=place,
        proposed_by=user,
        rule=policy.voting.model_dump(mode="json"),
        electorate=[one for one in voices if one not in silent],
        is_led=is_led,
        closes_at=closes_at,
        due_at=closes_at,
        **said,
    )
    data = {**said_of(proposal), "closes_at": closes_at.isoformat()}
    proposal.record("made", actor=user.actor, reason=proposal.reason, data=data)
    entries.tell_made(proposal)
    wake(f"federation:{federation.pk}")
    return proposal


def _cast(
    proposal: Proposal,
    place: Participation,
    user: User,
    choice: Choice,
    *,
    reason: str = "",
    earlier: Vote | None = None,
) -> None:
    number = earlier.number + 1 if earlier else 1
    said = {"voter": user, "choice": choice, "reason": reason, "number": number}
    cast, _made = Vote.objects.update_or_create(
        proposal=proposal, participation=place, defaults={**said, "at": timezone.now()}
    )
    data = {**said_of(proposal), "organisation": place.organisation.name, "choice": choice}
    before = {"before": earlier.choice} if earlier else {}
    what = "vote_changed" if earlier else "voted"
    proposal.record(what, actor=user.actor, reason=reason, data={**data, **before})
    entries.tell_voted(cast, proposal)
    wake(f"federation:{proposal.federation_id}")


def _visible(user: User, proposal_id: UUID) -> Proposal:
    """The proposal with its federation locked, if the person sees it; else the same 404."""
    if not proposals_visible_to(user).filter(pk=proposal_id).exists():
        raise NotFound("there is no such proposal")
    return lock_proposal(proposal_id)


def _require_voice(proposal: Proposal, user: User, participation_id: UUID | None) -> Participation:
    found = _place_voting(proposal, user, participation_id)
    if found is not None:
        return found
    require_place(user, proposal.federation_id, Permission.VOTE)
    if proposal.is_led:
        raise NoVoice(_("The lead organisation decides this alone."))
    raise NoVoice(_("It takes no part any more, came later, or it is the one that this is about."))


def _place_voting(
    proposal: Proposal, user: User, participation_id: UUID | None
) -> Participation | None:
    """Through which place the person votes: one that has not voted yet before others."""
    places = voices_of(user, proposal)
    if participation_id is not None:
        places = [one for one in places if one.pk == participation_id]
    voted = set(proposal.votes.values_list("participation_id", flat=True))
    return min(places, key=lambda one: one.pk in voted, default=None)


def _require_open(proposal: Proposal) -> None:
    if not proposal.is_open:
        raise ProposalClosed(
            _("This proposal is %(state)s already.") % {"state": proposal.get_state_display()}
        )
    if is_over(proposal, timezone.now()):
        raise ProposalClosed(_("The time to vote is up; the result follows in a moment."))
