"""Who decides on proposals: one rule for each federation, asked by every decision.

This is the seam for votes. A rule says whose voice counts and what a voice makes of a proposal;
`OPEN` means that others are waited for. Releases, pages and the API know no more of it than that.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from hub.accounts.models import User
from hub.catalogue.models import Proposal, ProposalState
from hub.federations.selectors import require_place
from hub.organisations.permissions import Permission


class Rule(Protocol):
    @property
    def words(self) -> str:
        """Who decides, as a sentence."""
        ...

    def require_voice(self, user: User, federation_id: UUID) -> None:
        """Raises NotFound, Forbidden: the person does not decide here."""
        ...

    def outcome(self, proposal: Proposal, user: User, *, accept: bool) -> ProposalState:
        """What becomes of an open proposal when this person says so; the proposal is locked."""
        ...


class LeadDecides:
    """One word of anybody who acts for the lead organisation is enough."""

    words = "The lead organisation decides."

    def require_voice(self, user: User, federation_id: UUID) -> None:
        require_place(user, federation_id, Permission.CURATE_VERSIONS)

    def outcome(self, proposal: Proposal, user: User, *, accept: bool) -> ProposalState:
        self.require_voice(user, proposal.federation_id)
        return ProposalState.ACCEPTED if accept else ProposalState.REFUSED


def rule_for(federation_id: UUID) -> Rule:  # noqa: ARG001 (the same for all of them, so far)
    """The rule by which a federation decides."""
    return LeadDecides()
