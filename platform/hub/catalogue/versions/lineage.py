"""The lineage of a federation: its runs as chains of versions, where they fork, what went back.

A page shows the chains of some runs, the newest first. Of a chain it shows both ends and whatever
stands out: where another run began, what was released, what has a name. The rest is counted, so
that a page is as small at ten thousand versions as at ten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from hub.catalogue.models import ModelVersion
from hub.catalogue.selectors import line_of
from hub.catalogue.versions.aliases import aliases_of
from hub.catalogue.versions.releases import RELEASE, ROLLBACK
from hub.federations.models import Federation, Proposal, ProposalState

CHAINS_SHOWN = 12
DECISIONS_SHOWN = 40  # the latest releases and rollbacks stand out, no more

Chain: TypeAlias = dict[str, Any]  # pk of the run, and the numbers of its first and last version


@dataclass(frozen=True, slots=True)
class Node:
    """One version that is shown, with the run and the round that made it."""

    id: UUID
    number: int
    state: str
    parent: UUID | None
    parent_number: int | None
    run: UUID
    run_name: str
    round: int
    names: Sequence[str] = ()

    @property
    def words(self) -> str:
        """«released · pilot-ward-3»; empty for a candidate without a name."""
        stage = [] if self.state == "candidate" else [self.state]
        return " · ".join([*stage, *self.names])


@dataclass(frozen=True, slots=True)
class Strand:
    """The shown versions of one run, the oldest first, and the version it began from, if any."""

    run: UUID
    name: str
    nodes: Sequence[Node]
    begins_at: Node | None

    @property
    def gaps(self) -> Iterator[tuple[Node, int]]:
        """After which versions how many are not shown."""
        for older, newer in pairwise(self.nodes):
            if hidden := newer.round - older.round - 1:
                yield newer, hidden


@dataclass(frozen=True, slots=True)
class Rollback:
    """The federation went back from a version to an older one."""

    start: Node
    end: Node
    reason: str


@dataclass(frozen=True, slots=True)
class Lineage:
    nodes: Sequence[Node]  # the newest first
    strands: Sequence[Strand]  # likewise; the last ones may be of runs on other pages
    rollbacks: Sequence[Rollback]


def runs_of(federation: Federation) -> QuerySet[Any, Any]:
    """The ids of runs that have made versions of the line, the newest first."""
    made = ModelVersion.objects.filter(round__run_id=OuterRef("pk"), is_baseline=False)
    runs: QuerySet[Any, Any] = federation.runs.filter(Exists(made)).order_by("-number")
    return runs.values("pk")


def chains_of(federation: Federation, runs: QuerySet[Any, Any]) -> QuerySet[Any, Chain]:
    """A row for each of some runs, with the numbers of its first and its last version."""
    made = ModelVersion.objects.filter(round__run_id=OuterRef("pk"), is_baseline=False)
    numbers = made.order_by("number").values("number")
    chosen: QuerySet[Any, Any] = federation.runs.filter(pk__in=runs)
    ends = chosen.annotate(first=Subquery(numbers[:1]), last=Subquery(numbers.reverse()[:1]))
    found: QuerySet[Any, Chain] = ends.order_by("-number").values("pk", "first", "last")
    return found


def page_with(federation: Federation, number: int) -> int:
    """On which page of runs a version is, from 1; one query."""
    run = line_of(federation).filter(number=number).values("round__run__number")[:1]
    later = runs_of(federation).filter(number__gt=Subquery(run)).count()
    return later // CHAINS_SHOWN + 1


def lineage_of(federation: Federation, chains: Sequence[Chain]) -> Lineage:
    """What is shown of these chains, and of where they come from; four queries."""
    decided = list(_decisions(federation))
    names = _names(federation)
    marked = {*names}.union(*(_concerned(one) for one in decided))
    nodes = _nodes(federation, chains, marked, names)
    by_id = {node.id: node for node in nodes}
    return Lineage(nodes, _strands(nodes, by_id), list(_rollbacks(decided, by_id)))


def _decisions(federation: Federation) -> QuerySet[Proposal]:
    accepted = federation.proposals.filter(
        kind__in=(RELEASE, ROLLBACK), state=ProposalState.ACCEPTED
    )
    return accepted.order_by("-state_changed_at")[:DECISIONS_SHOWN]


def _names(federation: Federation) -> Mapping[UUID, list[str]]:
    found: dict[UUID, list[str]] = defaultdict(list)
    for version, name in aliases_of(federation).values_list("version_id", "name"):
        found[version].append(name)
    return found


def _nodes(
    federation: Federation,
    chains: Sequence[Chain],
    marked: Iterable[UUID],
    names: Mapping[UUID, list[str]],
) -> list[Node]:
    """Ends, forks and what is marked of these chains, and where each of them began."""
    runs = [chain["pk"] for chain in chains]
    ends = {number for chain in chains for number in (chain["first"], chain["last"])}
    forked = federation.runs.filter(parent_version__isnull=False).values("parent_version")
    standing_out = Q(number__in=ends) | Q(pk__in=[*marked]) | Q(pk__in=forked)
    own = list(_rows(line_of(federation).filter(standing_out, round__run_id__in=runs)))
    known = {row[0] for row in own}
    firsts = {chain["first"] for chain in chains}
    begun_at = {row[3] for row in own if row[1] in firsts and row[3]} - known
    others = _rows(line_of(federation).filter(pk__in=begun_at, round__isnull=False))
    rows = sorted([*own, *others], key=lambda row: -int(row[1]))
    return [Node(*[*row, names.get(row[0], ())]) for row in rows]


def _rows(versions: QuerySet[ModelVersion]) -> Iterable[Any]:
    """As `Node` has it, but for the names."""
    own = ("pk", "number", "state", "parent_id", "parent__number")
    return versions.values_list(*own, "round__run_id", "round__run__name", "round__number")


def _strands(nodes: Sequence[Node], by_id: Mapping[UUID, Node]) -> list[Strand]:
    """By run; `nodes` are the newest first."""
    found: dict[UUID, list[Node]] = defaultdict(list)
    for node in nodes:
        found[node.run].append(node)
    return [_strand(own[::-1], by_id) for own in found.values()]


def _strand(nodes: Sequence[Node], by_id: Mapping[UUID, Node]) -> Strand:
    first = nodes[0]
    parent = by_id.get(first.parent) if first.parent and first.round == 1 else None
    return Strand(first.run, first.run_name, nodes, parent)


def _rollbacks(decided: Iterable[Proposal], by_id: Mapping[UUID, Node]) -> Iterator[Rollback]:
    for one in decided:
        if one.kind != ROLLBACK:
            continue
        end, *before = (by_id.get(version) for version in _concerned(one))
        if end and before and before[0]:
            yield Rollback(before[0], end, one.reason)


def _concerned(decided: Proposal) -> list[UUID]:
    """The version that was released, and the one it replaced, if any."""
    replaced = decided.result.get("replaced")
    return [UUID(version) for version in (decided.terms["version"], replaced) if version]
