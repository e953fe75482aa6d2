"""What the page of contributions shows, and its table for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.contributions.models import ContributionFact
from hub.contributions.selectors import totals_by_participation
from hub.federations.models import Federation, Participation
from hub.federations.places import Place, places_in

# The columns of the table for spreadsheets, and where each is found.
COLUMNS: Mapping[str, str] = {
    "recorded_at": "at",
    "run": "round__run_id",
    "run_name": "round__run__name",
    "purpose": "round__run__purpose",
    "round": "round__number",
    "organisation": "participation__organisation__name",
    "outcome": "outcome",
    "reason": "reason",
    "examples": "examples",
    "tokens": "tokens",
    "steps": "steps",
    "device_seconds": "device_seconds",
    "bytes_up": "bytes_up",
    "bytes_down": "bytes_down",
    "weight": "weight",
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet knows that a cell is a formula


def facts_of(federation: Federation) -> QuerySet[ContributionFact]:
    """The facts of a federation with their rounds; plans are large and stay where they are."""
    return (
        ContributionFact.objects.filter(round__run__federation=federation)
        .select_related("participation__organisation", "round__run")
        .defer("round__run__plan", "round__frozen")
    )


def rows_of(federation: Federation) -> Iterator[list[object]]:
    """Every fact, the oldest first; what people wrote can be no formula."""
    facts = facts_of(federation).order_by("id").values_list(*COLUMNS.values())
    for row in facts.iterator(2000):
        yield [_cell(value) for value in row]


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return plain(value) if isinstance(value, str) else value


def plain(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


@dataclass(frozen=True, slots=True)
class Total:
    """What one organisation gave in all; `sums` has the columns of `totals_by_participation`."""

    place: Place
    sums: Participation

    @property
    def asked(self) -> int:
        """In how many rounds it was asked; what came too late was missed before."""
        sums: Any = self.sums
        return int(sums.accepted + sums.rejected + sums.quarantined + sums.missed)


class Sheet:
    """The facts of a federation, summed up; read when the template first asks for them."""

    def __init__(self, federation: Federation, user: User, *, apart: bool = False) -> None:
        """`apart`: of the baselines, which are no gift to the federation."""
        self.federation = federation
        self.user = user
        self.apart = apart

    @cached_property
    def places(self) -> Mapping[UUID, Place]:
        return places_in(self.federation.pk, self.user)

    @cached_property
    def totals(self) -> list[Total]:
        """Of everybody who was ever asked, in the order in which they came."""
        found = totals_by_participation(self.federation.pk, apart=self.apart)
        sums = {one.pk: one for one in found}
        rows = [Total(place, sums[place.id]) for place in self.places.values() if place.id in sums]
        return [row for row in rows if row.asked]

    @cached_property
    def sums(self) -> Mapping[str, float]:
        """All organisations together."""
        columns = ("examples", "tokens", "steps", "device_seconds", "bytes_up", "bytes_down")
        outcomes = ("accepted", "late", "rejected", "quarantined", "missed", "evaluated")
        return {
            name: sum(getattr(total.sums, name) for total in self.totals)
            for name in (*columns, *outcomes)
        }

    @property
    def chart_of_shares(self) -> Mapping[str, Any] | None:
        """Each organisation's share of three things that have been given."""
        if not self.sums["examples"]:
            return None
        measured = (
            (_("Examples"), "examples"),
            (_("Device time"), "device_seconds"),
            (_("Bytes sent"), "bytes_up"),
        )
        return {
            "labels": [total.place.name for total in self.totals],
            "series": [
                {"name": name, "values": self._shares(column), "hue": hue}
                for hue, (name, column) in enumerate(measured)
            ],
        }

    def _shares(self, column: str) -> list[float | None]:
        whole = self.sums[column]
        return [getattr(total.sums, column) / whole if whole else None for total in self.totals]
