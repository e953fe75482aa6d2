"""What contributions were worth as the chart component takes it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeAlias
from uuid import UUID

from django.utils.translation import gettext as _

from hub.contributions.sheets import Total
from hub.contributions.valued import RoundWorth, Worth, Worths
from hub.federations.places import Place

Chart: TypeAlias = dict[str, Any]
Places: TypeAlias = Mapping[UUID, Place]


def together(worths: Worths, places: Places) -> Chart | None:
    """The value of each organisation over all rounds, with how sure it is."""
    if not worths.ranking:
        return None
    shown = [one for one in worths.ranking if one.participation in places]
    return {
        "labels": [places[one.participation].name for one in shown],
        "series": [
            {
                "name": _("Value"),
                "values": [one.value for one in shown],
                "low": [one.lower for one in shown],
                "high": [one.upper for one in shown],
                "hue": 0,
            }
        ],
    }


def by_round(worths: Worths, places: Places) -> Chart | None:
    """The values of each round, on one another."""
    if not worths.rounds:
        return None
    return {
        "labels": _names(worths.rounds),
        "series": [
            {"name": place.name, "values": _of(place.id, worths.rounds), "hue": place.hue}
            for place in places.values()
            if any(place.id in one.worths for one in worths.rounds)
        ],
        "stacked": True,
    }


def _names(rounds: list[RoundWorth]) -> list[str]:
    """Rounds by their numbers; where there are several runs, with the name of each at its first."""
    runs = [one.valuation.round.run for one in rounds]
    firsts = {0} | {place for place, (a, b) in enumerate(pairwise(runs), 1) if a.pk != b.pk}
    many = len(firsts) > 1
    return [
        f"{runs[place].name}, {one.number}" if many and place in firsts else f"{one.number}"
        for place, one in enumerate(rounds)
    ]


def _of(participation: UUID, rounds: list[RoundWorth]) -> list[float | None]:
    found: list[Worth | None] = [one.worths.get(participation) for one in rounds]
    return [one.value if one else None for one in found]


def against_volume(worths: Worths, totals: list[Total]) -> Chart | None:
    """The value of each organisation beside how many examples it trained on."""
    known = [one for one in totals if one.place.id in worths.cumulated]
    if not known:
        return None
    volumes = sorted({_examples(one) for one in known})
    return {
        "labels": volumes,
        "series": [_point(one, worths.cumulated[one.place.id], volumes) for one in known],
        "spanned": True,
    }


def _point(total: Total, worth: Worth, volumes: list[int]) -> dict[str, Any]:
    def at(figure: float | None) -> list[float | None]:
        return [figure if volume == _examples(total) else None for volume in volumes]

    return {
        "name": total.place.name,
        "values": at(worth.value),
        "low": at(worth.lower),
        "high": at(worth.upper),
        "hue": total.place.hue,
    }


def _examples(total: Total) -> int:
    sums: Any = total.sums
    return int(sums.examples)
