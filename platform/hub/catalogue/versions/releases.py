"""Releases and rollbacks: proposed with a reason, decided by the federation's rule, in force once.

A candidate is released; going back to a retired version is a rollback. Both are proposals, the
lead's own release at once an accepted one. Locks: the federation, then what is its.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from hub.accounts.models import User
from hub.catalogue.entries import tell_decided, tell_retired
from hub.catalogue.errors import NotReleasable, ProposalClosed
from hub.catalogue.evaluation.gating import require_gates
from hub.catalogue.models import ModelVersion, Proposal, ProposalKind, ProposalState, VersionState
from hub.catalogue.selectors import proposals_visible_to, require_version
from hub.catalogue.versions.deciding import rule_for
from hub.common.actors import HUB
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.wakeups import wake
from hub.federations.models import Federation, Participation
from hub.federations.selectors import require_place
from hub.organisations.permissions import Permission


@transaction.atomic
def propose_release(*, user: User, version_id: UUID, reason: str) -> Proposal:
    """Propose that a candidate be released, or that the federation go back to a retired version.

    While it is open, proposing the same again answers with it.

    Raises:
        NotFound: the version is not there, or not the user's to see.
        NotReleasable: it was made for comparison, or is released already.
        Invalid: no reason is given.
    """
    version = _locked(require_version(user, version_id))
    require_releasable(version)
    if version.state == VersionState.RELEASED:
        raise NotReleasable(f"{version} is released already.")
    if not reason:
        raise Invalid(f"Say why {version} is to be released.")
    if earlier := _open_proposal(version):
        return earlier
    proposal = _made(version, user, reason)
    proposal.record("made", actor=user.actor, reason=reason, data=_said(proposal))
    wake(f"federation:{version.federation_id}")
    return proposal


@transaction.atomic
def decide(*, user: User, proposal_id: UUID, accept: bool, reason: str = "") -> Proposal:
    """Accept or refuse a proposal, as far as the federation's rule lets this person.

    What is accepted is in force with the same transaction. Decided twice is decided once.

    Raises:
        NotFound, Forbidden: it is not the user's to see, or to decide.
        ProposalClosed: it was decided otherwise, or withdrawn.
        NotReleasable: the version may not be released any more.
    """
    proposal = _locked_proposal(user, proposal_id)
    rule = rule_for(proposal.federation_id)
    rule.require_voice(user, proposal.federation_id)
    if not proposal.is_open:
        return _same(proposal, ProposalState.ACCEPTED if accept else ProposalState.REFUSED)
    state = rule.outcome(proposal, user, accept=accept)
    if state == ProposalState.ACCEPTED:
        require_releasable(proposal.version)
        _accept(proposal, user, reason)
    elif state == ProposalState.REFUSED:
        _close(proposal, state, user, reason)
    return proposal


@transaction.atomic
def withdraw(*, user: User, proposal_id: UUID, reason: str = "") -> Proposal:
    """Take a proposal back, by anybody of the organisation that made it. Twice is once.

    Raises:
        NotFound, Forbidden: it is not the user's to see, or another organisation's.
        ProposalClosed: it has been decided.
    """
    proposal = _locked_proposal(user, proposal_id)
    organisation = proposal.participation.organisation
    if not user.memberships.filter(organisation=organisation).exists():
        raise Forbidden(f"Only {organisation} takes its proposal back.")
    if not proposal.is_open:
        return _same(proposal, ProposalState.WITHDRAWN)
    _close(proposal, ProposalState.WITHDRAWN, user, reason)
    return proposal


@transaction.atomic
def release_version(*, user: User, version_id: UUID, reason: str = "") -> ModelVersion:
    """Propose and accept in one step, for whoever decides alone; the one before is retired.

    Releasing a retired version again is rolling back, and wants a reason. Released twice is
    released once. An open proposal for it is thereby accepted.

    Raises:
        NotFound, Forbidden: it is not the user's to see, or to release.
        NotReleasable: it is a baseline, for comparison only.
        Invalid: a rollback without a reason.
    """
    version = _locked(require_version(user, version_id))
    require_place(user, version.federation_id, Permission.CURATE_VERSIONS)
    if version.state == VersionState.RELEASED:
        return version
    require_releasable(version)
    if version.state == VersionState.RETIRED and not reason:
        raise Invalid(f"Say why {version} is to be released again.")
    earlier = _open_proposal(version)
    _accept(earlier or _made(version, user, reason), user, reason if earlier else "")
    return version


@transaction.atomic
def retire_version(*, user: User, version_id: UUID, reason: str = "") -> ModelVersion:
    """Take a version out of use; it can still be fetched by its number. Twice is once."""
    version = _locked(require_version(user, version_id))
    lead = require_place(user, version.federation_id, Permission.CURATE_VERSIONS)
    if version.state != VersionState.RETIRED:
        if proposal := _open_proposal(version):
            _close(proposal, ProposalState.WITHDRAWN, None, f"{version} was retired")
        version.move_to(
            VersionState.RETIRED, actor=user.actor, reason=reason, data={"number": version.number}
        )
        tell_retired(version, by=lead, reason=reason)
        wake(f"federation:{version.federation_id}")
    return version


def require_releasable(version: ModelVersion) -> None:
    """Raises NotReleasable, GatesFailed."""
    if version.is_baseline:
        raise NotReleasable(f"{version} was made for comparison only")
    require_gates(version)


def kind_of(version: ModelVersion) -> ProposalKind:
    """What releasing this version would be."""
    is_older = version.state == VersionState.RETIRED
    return ProposalKind.ROLLBACK if is_older else ProposalKind.RELEASE


def _made(version: ModelVersion, user: User, reason: str) -> Proposal:
    return Proposal.objects.create(
        kind=kind_of(version),
        federation=version.federation,
        version=version,
        reason=reason,
        proposed_by=user,
        participation=require_place(user, version.federation_id, Permission.MAKE_PROPOSALS),
    )


def _accept(proposal: Proposal, user: User, answer: str) -> None:
    """Put the version in the place of the one that is released. The federation is locked."""
    version = proposal.version
    replaced = version.federation.versions.filter(state=VersionState.RELEASED).first()
    proposal.move_to(
        ProposalState.ACCEPTED,
        actor=user.actor,
        reason=answer,
        data=_said(proposal),
        decided_by=user,
        answer=answer,
        replaced=replaced,
    )
    if replaced is not None:
        replaced.move_to(
            VersionState.RETIRED,
            actor=user.actor,
            reason=f"{version} is released instead",
            data={"number": replaced.number},
        )
    version.move_to(
        VersionState.RELEASED,
        actor=user.actor,
        reason=proposal.reason,
        data={"number": version.number},
    )
    tell_decided(proposal, by=require_place(user, proposal.federation_id))
    _announce(proposal)


def _announce(proposal: Proposal) -> None:
    """Tell who waits for news of a release or rollback, once, after the commit.

    Whoever is to be notified of releases is notified from here. The events `version.released` and
    `version.retired`, written in this transaction, are what the feed and the API tell.
    """
    wake(f"federation:{proposal.federation_id}")


def _close(proposal: Proposal, state: ProposalState, user: User | None, reason: str) -> None:
    proposal.move_to(
        state,
        actor=user.actor if user else HUB,
        reason=reason,
        data=_said(proposal),
        decided_by=user,
        answer=reason,
    )
    tell_decided(proposal, by=_decider(proposal, user))
    wake(f"federation:{proposal.federation_id}")


def _decider(proposal: Proposal, user: User | None) -> Participation | None:
    """For whom the person has decided; whoever takes a proposal back has made it."""
    if user is None or proposal.state == ProposalState.WITHDRAWN:
        return proposal.participation if user else None
    return require_place(user, proposal.federation_id)


def _same(proposal: Proposal, wanted: ProposalState) -> Proposal:
    if proposal.state != wanted:
        raise ProposalClosed(f"This proposal is {proposal.get_state_display()} already.")
    return proposal


def _said(proposal: Proposal) -> dict[str, object]:
    what = "go back to" if proposal.kind == ProposalKind.ROLLBACK else "release"
    return {
        "what": what,
        "version": proposal.version.number,
        "organisation": proposal.participation.organisation.name,
    }


def _open_proposal(version: ModelVersion) -> Proposal | None:
    found = Proposal.objects.filter(version=version, state=ProposalState.OPEN)
    proposal = found.select_related("participation__organisation").first()
    if proposal is not None:
        proposal.version = version
    return proposal


def _locked_proposal(user: User, proposal_id: UUID) -> Proposal:
    """The proposal as it is once its federation is ours."""
    found = proposals_visible_to(user)
    proposal = found.filter(pk=proposal_id).first()
    if proposal is None:
        raise NotFound("there is no such proposal")
    version = _locked(proposal.version)
    proposal = found.get(pk=proposal_id)
    proposal.version = version
    return proposal


def _locked(version: ModelVersion) -> ModelVersion:
    """Hold the federation, then the version as it is now."""
    Federation.objects.select_for_update(no_key=True).get(pk=version.federation_id)
    locked = ModelVersion.objects.select_for_update(of=("self",))
    return locked.select_related("federation", "base_model", "parent").get(pk=version.pk)
