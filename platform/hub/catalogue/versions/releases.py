"""Releases and rollbacks: proposed with a reason, decided by vote or by the lead, in force once.

A candidate is released; going back to a retired version is a rollback. Both are proposals, the
lead's own release at once an accepted one. Locks: the federation, then what is its.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.entries import tell_released, tell_retired
from hub.catalogue.errors import NotReleasable
from hub.catalogue.evaluation.gating import require_gates
from hub.catalogue.models import ModelVersion, VersionState
from hub.catalogue.selectors import require_version
from hub.common.actors import Actor
from hub.common.errors import Invalid
from hub.common.wakeups import wake
from hub.federations.errors import MembersDecide
from hub.federations.models import Choice, Proposal, ProposalState
from hub.federations.proposals.deciding import close, count_of, lock_federation
from hub.federations.proposals.services import make, propose, vote
from hub.federations.selectors import require_place
from hub.organisations.permissions import Permission

RELEASE, ROLLBACK = "release", "rollback"


@transaction.atomic
def propose_release(*, user: User, version_id: UUID, reason: str) -> Proposal:
    """Propose that a candidate be released, or that the federation go back to a retired version.

    While it is open, proposing the same again answers with it.

    Raises:
        NotFound: the version is not there, or not the user's to see.
        NotReleasable: it was made for comparison, or is released already.
        GatesFailed: a gate of its plan holds it up.
        Invalid: no reason is given.
    """
    version = require_version(user, version_id)
    return propose(
        user=user,
        federation_id=version.federation_id,
        kind=kind_of(version),
        terms={"version": str(version.pk)},
        reason=reason,
    )


@transaction.atomic
def release_version(*, user: User, version_id: UUID, reason: str = "") -> ModelVersion:
    """Propose and decide in one step, for whoever decides alone; the one before is retired.

    Releasing a retired version again is rolling back, and wants a reason. Released twice is
    released once. An open proposal for it is thereby accepted.

    Raises:
        NotFound, Forbidden: it is not the user's to see, or to release.
        MembersDecide: one voice does not decide this here.
        NotReleasable: it is a baseline, for comparison only.
        Invalid: a rollback without a reason.
    """
    version = require_version(user, version_id)
    require_place(user, version.federation_id, Permission.CURATE_VERSIONS)
    place = require_place(user, version.federation_id, Permission.VOTE)
    lock_federation(version.federation_id)
    version = locked(version.pk)
    if version.state == VersionState.RELEASED:
        return version
    require_releasable(version)
    if version.state == VersionState.RETIRED and not reason:
        raise Invalid(_("Say why %(version)s is to be released again.") % {"version": version})
    terms = {"version": str(version.pk)}
    proposal = make(place=place, user=user, kind=kind_of(version), terms=terms, reason=reason)
    if proposal.is_open:
        proposal = vote(user=user, proposal_id=proposal.pk, choice=Choice.YES, reason=reason)
    if proposal.state != ProposalState.ACCEPTED:
        raise MembersDecide(
            _("Propose the release of %(version)s, and vote on it.") % {"version": version}
        )
    return locked(version.pk)


@transaction.atomic
def retire_version(*, user: User, version_id: UUID, reason: str = "") -> ModelVersion:
    """Take a version out of use; it can still be fetched by its number. Twice is once."""
    version = require_version(user, version_id)
    lead = require_place(user, version.federation_id, Permission.CURATE_VERSIONS)
    lock_federation(version.federation_id)
    version = locked(version.pk)
    if version.state != VersionState.RETIRED:
        for proposal in proposals_about(version).filter(state=ProposalState.OPEN):
            answer = f"{version} was retired"
            close(proposal, ProposalState.WITHDRAWN, count_of(proposal), answer=answer)
        version.move_to(
            VersionState.RETIRED, actor=user.actor, reason=reason, data={"number": version.number}
        )
        tell_retired(version, by=lead, reason=reason)
        wake(f"federation:{version.federation_id}")
    return version


def put_in_place(version: ModelVersion, proposal: Proposal, actor: Actor) -> None:
    """Release a version that is locked, as its federation is, and retire the one before.

    Raises:
        NotReleasable, GatesFailed: it may not be released any more.
    """
    require_releasable(version)
    if version.state == VersionState.RELEASED:
        raise NotReleasable(_("%(version)s is released already.") % {"version": version})
    before = version.federation.versions.filter(state=VersionState.RELEASED).first()
    if before is not None:
        before.move_to(
            VersionState.RETIRED,
            actor=actor,
            reason=f"{version} is released instead",
            data={"number": before.number},
        )
        proposal.result = {"replaced": str(before.pk), "replaced_number": before.number}
    version.move_to(
        VersionState.RELEASED,
        actor=actor,
        reason=proposal.reason,
        data={"number": version.number},
    )
    tell_released(version, proposal, before)
    wake(f"federation:{proposal.federation_id}")


def require_releasable(version: ModelVersion) -> None:
    """Raises NotReleasable, GatesFailed."""
    if version.is_baseline:
        raise NotReleasable(_("%(version)s was made for comparison only") % {"version": version})
    require_gates(version)


def kind_of(version: ModelVersion) -> str:
    """What releasing this version would be."""
    return ROLLBACK if version.state == VersionState.RETIRED else RELEASE


def proposals_about(version: ModelVersion) -> QuerySet[Proposal]:
    """All that was ever proposed about a version, the newest first."""
    about = {"kind__in": (RELEASE, ROLLBACK), "terms__version": str(version.pk)}
    found = Proposal.objects.filter(federation=version.federation_id, **about)
    return found.select_related(
        "federation", "participation__organisation", "proposed_by", "decided_by"
    )


def locked(version_id: UUID) -> ModelVersion:
    """The version as it is now; its federation is locked by the caller."""
    rows = ModelVersion.objects.select_for_update(of=("self",))
    return rows.select_related("federation", "base_model", "parent").get(pk=version_id)
