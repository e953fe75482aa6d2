"""A lineage as a drawing: a row for each version, the newest on top, and a lane for each run.

Places are pixels of an SVG that is drawn at its own size. A lane is free again below the version
from which its run began, so that runs one after the other share one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from unicodedata import east_asian_width
from uuid import UUID

from django.utils.translation import gettext as _

from hub.catalogue.versions.lineage import Lineage, Node, Rollback, Strand

ROW, LANE, MARGIN = 40, 24, 20
BEND = 18  # room beside the lanes for the arcs of rollbacks
LABEL, LETTER = 240, 8.5  # least room for words, and what a letter takes at most; wide ones twice
NAME_SHOWN = 22
HUES = 8


@dataclass(frozen=True, slots=True)
class Dot:
    node: Node
    x: int
    y: int
    is_newest: bool  # of its run, which is told beside it

    @property
    def run_name(self) -> str:
        """Cut where it is long: the table has the whole."""
        name = self.node.run_name
        return name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN - 1].rstrip()}…"

    @property
    def room(self) -> int:
        """What its words take."""
        words = f"v{self.node.number} {self.node.words} {self.run_name if self.is_newest else ''}"
        letters = sum(2 if east_asian_width(one) in "WF" else 1 for one in words)
        return MARGIN + ceil(LETTER * letters)


@dataclass(frozen=True, slots=True)
class Gap:
    """Versions of a run that are not drawn."""

    count: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Edge:
    """All of a run: from where it began to its newest version."""

    strand: Strand
    path: str
    hue: int

    @property
    def words(self) -> str:
        first, last = self.strand.nodes[0], self.strand.nodes[-1]
        if first is last:
            told = {"run": self.strand.name, "number": first.number}
            return _("%(run)s: version %(number)s") % told
        told = {"run": self.strand.name, "first": first.number, "last": last.number}
        return _("%(run)s: versions %(first)s to %(last)s") % told


@dataclass(frozen=True, slots=True)
class Arc:
    rollback: Rollback
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    width: int
    height: int
    label_x: int
    dots: Sequence[Dot]
    gaps: Sequence[Gap]
    edges: Sequence[Edge]
    arcs: Sequence[Arc]


def drawn(lineage: Lineage) -> Drawing:
    """Give everything its place."""
    rows, gaps = _rows(lineage)
    lanes = _lanes(lineage.strands, rows)
    places = {node.id: (_x(lanes[node.run]), _y(rows[node.id])) for node in lineage.nodes}
    right = _x(max(lanes.values(), default=0))
    newest = {strand.nodes[-1].id for strand in lineage.strands}
    dots = [Dot(node, *places[node.id], node.id in newest) for node in lineage.nodes]
    return Drawing(
        width=right + BEND + max([LABEL, *(dot.room for dot in dots)]),
        height=_y(len(rows) + len(gaps)) - ROW // 2,
        label_x=right + BEND + MARGIN,
        dots=dots,
        gaps=[Gap(count, places[node.id][0], _y(row)) for node, count, row in gaps],
        edges=[
            Edge(strand, _path(strand, places), place % HUES)
            for place, strand in enumerate(lineage.strands)
        ],
        arcs=[Arc(one, _arc(one, places, right + 2 * BEND)) for one in lineage.rollbacks],
    )


def _rows(lineage: Lineage) -> tuple[Mapping[UUID, int], list[tuple[Node, int, int]]]:
    """The row of each version, and of each gap below one."""
    hidden = {node.id: count for strand in lineage.strands for node, count in strand.gaps}
    rows: dict[UUID, int] = {}
    gaps: list[tuple[Node, int, int]] = []
    for node in lineage.nodes:
        rows[node.id] = len(rows) + len(gaps)
        if count := hidden.get(node.id):
            gaps.append((node, count, len(rows) + len(gaps)))
    return rows, gaps


def _lanes(strands: Sequence[Strand], rows: Mapping[UUID, int]) -> Mapping[UUID, int]:
    """The first lane that is free from the top of each run to the row below which it began."""
    taken_until: list[int] = []
    lanes: dict[UUID, int] = {}
    for strand in sorted(strands, key=lambda one: rows[one.nodes[-1].id]):
        top, bottom = rows[strand.nodes[-1].id], rows[strand.nodes[0].id]
        if strand.begins_at:
            bottom = max(bottom, rows[strand.begins_at.id] - 1)
        free = (lane for lane, until in enumerate(taken_until) if until < top)
        lane = next(free, len(taken_until))
        taken_until[lane : lane + 1] = [bottom]
        lanes[strand.run] = lane
    return lanes


def _path(strand: Strand, places: Mapping[UUID, tuple[int, int]]) -> str:
    (x, top), (_x, bottom) = places[strand.nodes[-1].id], places[strand.nodes[0].id]
    return " ".join([f"M{x} {top}", f"V{bottom}", *_beginning(strand, x, places)])


def _beginning(strand: Strand, x: int, places: Mapping[UUID, tuple[int, int]]) -> Iterator[str]:
    """Down the lane and, in the last row, over to the version that it began from."""
    if strand.begins_at is None:
        return
    to_x, to_y = places[strand.begins_at.id]
    yield f"V{to_y - ROW}"
    yield f"C{x} {to_y - ROW // 2} {to_x} {to_y - ROW // 2} {to_x} {to_y}"


def _arc(one: Rollback, places: Mapping[UUID, tuple[int, int]], right: int) -> str:
    (x, y), (to_x, to_y) = places[one.start.id], places[one.end.id]
    return f"M{x + 8} {y} C{right} {y} {right} {to_y} {to_x + 11} {to_y}"


def _x(lane: int) -> int:
    return MARGIN + lane * LANE


def _y(row: int) -> int:
    return ROW // 2 + row * ROW
