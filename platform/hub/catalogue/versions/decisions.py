"""What pages show of decisions on a line: proposals, names, and who may do what about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from hub.accounts.models import User
from hub.catalogue.models import Alias, ModelVersion, Proposal, VersionState
from hub.catalogue.versions.aliases import LATEST, RELEASED, aliases_of, history_of, version_at
from hub.catalogue.versions.deciding import rule_for
from hub.common.feed import Told, told
from hub.common.models import Event
from hub.federations.models import Federation
from hub.federations.selectors import active_participations
from hub.organisations.selectors import organisations_of

PROPOSALS_SHOWN, EVENTS_SHOWN = 20, 20


@dataclass(frozen=True, slots=True)
class ProposalRow:
    proposal: Proposal
    may_decide: bool
    may_withdraw: bool


class Standing:
    """A person's standing in a federation; one query."""

    def __init__(self, user: User, federation_id: UUID) -> None:
        own = active_participations(federation_id).filter(organisation__in=organisations_of(user))
        self._places = list(own)

    @property
    def is_lead(self) -> bool:
        return any(place.is_lead for place in self._places)

    def rows(self, proposals: Iterable[Proposal]) -> list[ProposalRow]:
        own = {place.pk for place in self._places}
        return [
            ProposalRow(
                proposal=one,
                may_decide=one.is_open and self.is_lead,
                may_withdraw=one.is_open and one.participation_id in own,
            )
            for one in proposals
        ]


@dataclass(frozen=True, slots=True)
class Name:
    """A name and what it means today; `alias` is none for the standing ones."""

    name: str
    version: ModelVersion
    alias: Alias | None = None


def names_of(federation: Federation) -> Sequence[Name]:
    """The standing names that mean something, then the federation's own; three queries."""
    standing = ((name, version_at(federation, name)) for name in (RELEASED, LATEST))
    own = aliases_of(federation).select_related("version")
    return [
        *(Name(name, version) for name, version in standing if version),
        *(Name(one.name, one.version, one) for one in own),
    ]


class VersionDecisions:
    """One version's proposals, names and stages."""

    def __init__(self, version: ModelVersion, user: User) -> None:
        self.version = version
        self.user = user

    @cached_property
    def standing(self) -> Standing:
        return Standing(self.user, self.version.federation_id)

    @property
    def rule(self) -> str:
        return rule_for(self.version.federation_id).words

    @cached_property
    def proposals(self) -> Sequence[ProposalRow]:
        """The newest first."""
        found = self.version.proposals.select_related(
            "version", "participation__organisation", "proposed_by", "decided_by"
        )
        return self.standing.rows(found[:PROPOSALS_SHOWN])

    @property
    def may_propose(self) -> bool:
        is_fit = self.version.state != VersionState.RELEASED and not self.version.is_baseline
        return is_fit and not any(row.proposal.is_open for row in self.proposals)

    @property
    def is_rollback(self) -> bool:
        return self.version.state == VersionState.RETIRED

    @cached_property
    def names(self) -> Sequence[Alias]:
        return list(aliases_of(self.version.federation).filter(version=self.version))

    @cached_property
    def stages(self) -> Sequence[Event]:
        """Who released and retired it, and why; the newest first."""
        found = Event.objects.filter(subject_id=self.version.pk).exclude(from_state="")
        return list(found.order_by("-pk")[:EVENTS_SHOWN])


class FederationDecisions:
    """All that was decided about a federation's line."""

    def __init__(self, federation: Federation, user: User) -> None:
        self.federation = federation
        self.user = user

    @cached_property
    def standing(self) -> Standing:
        return Standing(self.user, self.federation.pk)

    @property
    def rule(self) -> str:
        return rule_for(self.federation.pk).words

    @cached_property
    def names(self) -> Sequence[Name]:
        return names_of(self.federation)

    @cached_property
    def history(self) -> Sequence[Told]:
        """How names were given, moved and removed."""
        return told(history_of(self.federation))
