"""What accepted proposals do to places and to the federation.

Called in the transaction that decides, with the federation locked. Done twice is done once. What
agents of a place still hold ends with their next request, and a job takes it back.
"""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext as _

from hub.common import text
from hub.common.actors import Actor
from hub.common.errors import NotFound
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.charters import joining
from hub.federations.entries import tell_ended
from hub.federations.errors import LeadStays, NotTakingPart
from hub.federations.models import (
    Federation,
    FederationState,
    Participation,
    ParticipationState,
    Proposal,
    ProposalState,
    Standing,
)
from hub.federations.proposals import entries
from hub.federations.proposals.deciding import close, count_of, look_again

NO_WISH = {"leaving_since": None, "leaving_by": None, "leaving_reason": ""}


def admit(*, participation_id: UUID, actor: Actor) -> Participation:
    """Let an organisation in. Raises what `joining.admit` does."""
    place = lock_place(participation_id)
    return (
        place
        if place.state == ParticipationState.ACTIVE
        else joining.admit(place=place, actor=actor)
    )


def refuse(*, participation_id: UUID, actor: Actor, reason: str) -> Participation:
    """Answer a request to join with no; another may follow."""
    place = lock_place(participation_id)
    if place.state == ParticipationState.REQUESTED:
        move(place, ParticipationState.REFUSED, actor=actor, reason=reason)
    return place


def suspend(*, participation_id: UUID, actor: Actor, reason: str) -> Participation:
    """No tasks, no votes and no acts until it is restored; its people still see.

    Raises:
        LeadStays: the lead is not suspended.
        IllegalTransition: it does not take part.
    """
    place = lock_place(participation_id)
    if place.state != ParticipationState.SUSPENDED:
        require_other_lead(place)
        move(place, ParticipationState.SUSPENDED, actor=actor, reason=reason)
        entries.tell_suspended(place, reason)
        end_work(place)
    return place


def restore(*, participation_id: UUID, actor: Actor, reason: str) -> Participation:
    """A suspended organisation takes part again, from the next round on.

    Raises:
        IllegalTransition: it is not suspended.
    """
    place = lock_place(participation_id)
    if place.state != ParticipationState.ACTIVE:
        if place.state != ParticipationState.SUSPENDED:
            raise NotTakingPart(_("Its place is %(state)s.") % {"state": place.get_state_display()})
        move(place, ParticipationState.ACTIVE, actor=actor, reason=reason)
        entries.tell_restored(place, reason)
        look_again(place.federation_id)
    return place


def expel(*, participation_id: UUID, actor: Actor, reason: str) -> Participation:
    """End a place for good; access ends as with leaving, and the record stays.

    Raises:
        LeadStays: the lead is not expelled.
        IllegalTransition: it does not take part.
    """
    place = lock_place(participation_id)
    if place.state != ParticipationState.EXPELLED:
        require_other_lead(place)
        move(place, ParticipationState.EXPELLED, actor=actor, reason=reason, **NO_WISH)
        tell_ended(place, reason)
        end_work(place)
    return place


def hand_over(*, participation_id: UUID, actor: Actor) -> Participation:
    """Another organisation leads from now on; the one before stays as a contributor.

    Raises:
        NotTakingPart: it does not take part, or it observes.
    """
    place = lock_place(participation_id)
    if place.is_lead:
        return place
    require_can_lead(place)
    before = lock_place(place.federation.participations.get(standing=Standing.LEAD).pk)
    for one, standing in ((before, Standing.CONTRIBUTOR), (place, Standing.LEAD)):
        one.standing = standing
        one.save(update_fields=["standing"])
    data = {"organisation": place.organisation.name, "before": before.organisation.name}
    event = place.record("leads", actor=actor, data=data)
    entries.tell_lead(place, before, event.pk)
    wake(f"federation:{place.federation_id}")
    return place


def dissolve(*, federation: Federation, actor: Actor, reason: str) -> None:
    """End a federation: nobody starts anything any more, and its runs are cancelled.

    What was made stays: versions, contributions and the ledger can be read and checked.
    """
    if federation.state == FederationState.DISSOLVED:
        return
    data = {"federation": federation.name}
    federation.move_to(FederationState.DISSOLVED, actor=actor, reason=reason, data=data)
    rest = federation.proposals.filter(state=ProposalState.OPEN)
    for proposal in rest.select_related("federation", "participation__organisation"):
        _drop(proposal)
    entries.tell_dissolved(federation, reason)
    enqueue(Job.END_RUNS, str(federation.pk))
    wake(f"federation:{federation.pk}")


def _drop(proposal: Proposal) -> None:
    count = count_of(proposal)
    close(proposal, ProposalState.WITHDRAWN, count, answer="the federation was dissolved")


def end_work(place: Participation) -> None:
    """Whatever the organisation's agents hold of the federation is taken back."""
    enqueue(Job.END_WORK, str(place.pk))
    look_again(place.federation_id)


def move(
    place: Participation,
    state: ParticipationState,
    *,
    actor: Actor,
    reason: str = "",
    **columns: object,
) -> None:
    """Change the state of a place that is locked, and tell whoever looks."""
    data = {"organisation": place.organisation.name, "federation": place.federation.name}
    place.move_to(state, actor=actor, reason=text.line(reason, most=500), data=data, **columns)
    wake(f"federation:{place.federation_id}", f"organisation:{place.organisation_id}")


def lock_place(participation_id: UUID) -> Participation:
    """The place, locked, after its federation. Raises NotFound."""
    rows = Participation.objects.select_for_update(of=("self",))
    found = rows.select_related("federation__base_model", "organisation")
    place = found.filter(pk=participation_id).first()
    if place is None:
        raise NotFound("no such participation")
    return place


def require_other_lead(place: Participation) -> None:
    """Raises LeadStays."""
    if place.is_lead:
        raise LeadStays(_("Another organisation must take the lead first."))


def require_can_lead(place: Participation) -> None:
    """Raises NotTakingPart."""
    if place.state != ParticipationState.ACTIVE or place.standing == Standing.OBSERVER:
        raise NotTakingPart(
            _("%(organisation)s does not take part as a contributor.")
            % {"organisation": place.organisation}
        )
