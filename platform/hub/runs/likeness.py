"""How the updates of a round stand to each other, as a table of figures with colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.federations.places import Place
from hub.runs.models import Comparison, Round, Update

MOST_SHOWN = 24  # organisations; a larger table shows nobody anything
LEVELS = 5  # shades on either side of nothing


@dataclass(frozen=True, slots=True)
class Cell:
    """One cosine; None where a row meets itself."""

    cosine: float | None
    name: str  # whose column it is

    @property
    def level(self) -> int:
        """From −5 to 5: how strong its colour is, and which of the two."""
        return round(LEVELS * (self.cosine or 0.0))


@dataclass(frozen=True, slots=True)
class Row:
    place: Place
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Likeness:
    rows: Sequence[Row]
    hidden: int  # how many are left out, since there are so many


@dataclass(frozen=True, slots=True)
class _Figures:
    digests: Sequence[str]
    cosines: Sequence[Sequence[float]]


def likeness_in(current: Round, places: Mapping[UUID, Place]) -> Likeness | None:
    """What is known of a round's updates; nothing where fewer than two were compared.

    One query where `comparison` was selected with the round. `places` are those of the federation,
    which its members may see.
    """
    figures = _compared(current) or _reported(current)
    if figures is None:
        return None
    owners = _owners(current, figures.digests)
    known = [
        (places[owners[digest]], place)
        for place, digest in enumerate(figures.digests)
        if owners.get(digest) in places
    ]
    known.sort(key=lambda one: list(places).index(one[0].id))
    shown = known[:MOST_SHOWN]
    if len(shown) < 2:  # noqa: PLR2004 (nothing to compare)
        return None
    rows = [Row(place, list(_cells(i, shown, figures))) for place, i in shown]
    return Likeness(rows, len(known) - len(shown))


def _cells(row: int, shown: Sequence[tuple[Place, int]], figures: _Figures) -> Iterator[Cell]:
    for place, column in shown:
        cosine = None if column == row else figures.cosines[row][column]
        yield Cell(cosine, place.name)


def _compared(current: Round) -> _Figures | None:
    found: Comparison | None = getattr(current, "comparison", None)
    return _Figures(found.digests, found.evidence.cosines) if found else None


def _reported(current: Round) -> _Figures | None:
    """What the aggregation of an earlier hub said."""
    report = current.version.report if current.version else {}
    norms, cosines = report.get("norms"), report.get("cosines")
    if not norms or not cosines:
        return None
    return _Figures(sorted(norms), cosines)


def _owners(current: Round, digests: Sequence[str]) -> dict[str, UUID]:
    """Whose updates these are; where late ones count, some are of earlier rounds."""
    of_run = Update.objects.filter(round__run_id=current.run_id, artifact__in=digests)
    return dict(of_run.values_list("artifact_id", "participation_id"))
