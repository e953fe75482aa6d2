"""What pages show of decisions on a line: proposals, names, and who may do what about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, Q

from hub.accounts.models import User
from hub.catalogue.models import Alias, AliasState, ModelVersion, VersionState
from hub.catalogue.selectors import line_of
from hub.catalogue.versions.aliases import LATEST, RELEASED, aliases_of, history_of
from hub.catalogue.versions.releases import RELEASE, ROLLBACK, kind_of, proposals_about
from hub.common.feed import Told, told
from hub.common.models import Event
from hub.federations.models import Federation
from hub.federations.proposals.boards import Reader, Row, who_decides
from hub.organisations.permissions import Permission

PROPOSALS_SHOWN, EVENTS_SHOWN = 20, 20
KINDS = (RELEASE, ROLLBACK)


@dataclass(frozen=True, slots=True)
class Name:
    """A name and what it means today; the standing ones are not the federation's own."""

    name: str
    version: ModelVersion
    is_own: bool = False


def names_of(federation: Federation) -> Sequence[Name]:
    """The standing names that mean something, then the federation's own; one query."""
    own = Alias.objects.filter(version=OuterRef("pk"), state=AliasState.GIVEN).order_by("name")
    in_use = line_of(federation).exclude(state=VersionState.RETIRED)
    standing = Q(state=VersionState.RELEASED) | Q(pk__in=in_use.values("pk")[:1])
    named = federation.versions.filter(standing | Exists(own)).order_by("-number")
    found = list(named.annotate(given=ArraySubquery(own.values("name"))))
    released = [one for one in found if one.state == VersionState.RELEASED]
    latest = [one for one in found if _is_in_use(one)]
    given = [Name(name, one, is_own=True) for one in found for name in one.given]
    return [
        *(Name(RELEASED, version) for version in released),
        *(Name(LATEST, version) for version in latest[:1]),
        *sorted(given, key=lambda one: one.name),
    ]


def _is_in_use(version: ModelVersion) -> bool:
    return version.state != VersionState.RETIRED and not version.is_baseline


class Decisions:
    """What may be decided about a federation's line, by one person."""

    federation: Federation
    user: User

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.user, self.federation.pk)

    @property
    def may_name(self) -> bool:
        return self.reader.may(Permission.CURATE_VERSIONS)

    def rule_for(self, kind: str) -> str:
        """Who decides, as a sentence."""
        return who_decides(self.federation, kind)


class VersionDecisions(Decisions):
    """One version's proposals, names and stages."""

    def __init__(self, version: ModelVersion, user: User) -> None:
        self.version = version
        self.federation = version.federation
        self.user = user

    @property
    def rule(self) -> str:
        return self.rule_for(kind_of(self.version))

    @cached_property
    def proposals(self) -> Sequence[Row]:
        """The newest first."""
        return self.reader.rows(proposals_about(self.version)[:PROPOSALS_SHOWN])

    @property
    def may_propose(self) -> bool:
        is_fit = self.version.state != VersionState.RELEASED and not self.version.is_baseline
        is_new = not any(one.proposal.is_open for one in self.proposals)
        return is_fit and is_new and self.reader.may(Permission.MAKE_PROPOSALS)

    @property
    def is_rollback(self) -> bool:
        return kind_of(self.version) == ROLLBACK

    @cached_property
    def names(self) -> Sequence[Alias]:
        return list(aliases_of(self.federation).filter(version=self.version))

    @cached_property
    def stages(self) -> Sequence[Event]:
        """Who released and retired it, and why; the newest first."""
        found = Event.objects.filter(subject_id=self.version.pk).exclude(from_state="")
        return list(found.order_by("-pk")[:EVENTS_SHOWN])


class FederationDecisions(Decisions):
    """All that was decided about a federation's line."""

    def __init__(self, federation: Federation, user: User) -> None:
        self.federation = federation
        self.user = user

    @property
    def rule(self) -> str:
        return self.rule_for(RELEASE)

    @cached_property
    def names(self) -> Sequence[Name]:
        return names_of(self.federation)

    @cached_property
    def history(self) -> Sequence[Told]:
        """How names were given, moved and removed."""
        return told(history_of(self.federation))
