"""What one organisation gave and got, line by line, each with the entry that it follows from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from hub.contributions.models import ContributionFact, Credit, Outcome, ValuationState, Value
from hub.contributions.selectors import of_purpose
from hub.federations.models import Participation
from hub.ledger.selectors import positions_of

UNITS: Mapping[str, str] = {
    "examples": "examples",
    "tokens": "tokens",
    "steps": "steps",
    "device_seconds": "seconds",
    "bytes_up": "bytes",
    "bytes_down": "bytes",
}
COLUMNS = ("what", "when", "run", "round", "figure", "unit", "detail", "ledger_entry")


@dataclass(frozen=True, slots=True)
class Line:
    """One figure. `entry`: the place in the ledger of what it follows from, if it has one."""

    what: str
    at: datetime
    run: str
    round: int | None
    figure: float
    unit: str
    detail: str
    entry: int | None


class Statement:
    """Facts, values and credits of one participation; read when they are first asked for."""

    def __init__(self, participation: Participation) -> None:
        self.participation = participation

    @cached_property
    def facts(self) -> list[ContributionFact]:
        found = ContributionFact.objects.filter(of_purpose(apart=False))
        return list(
            found.filter(participation=self.participation)
            .select_related("round__run")
            .defer("round__run__plan", "round__frozen")
            .order_by("round__created_at", "id")
        )

    @cached_property
    def values(self) -> list[Value]:
        found = Value.objects.filter(
            participation=self.participation,
            valuation__state=ValuationState.RECORDED,
            valuation__is_planned=True,
        )
        return list(
            found.select_related("valuation__round__run")
            .defer("shaken", "valuation__round__run__plan", "valuation__round__frozen")
            .order_by("valuation__ended_at")
        )

    @cached_property
    def credits(self) -> list[Credit]:
        found = Credit.objects.filter(participation=self.participation)
        return list(
            found.select_related("reward__run").defer("reward__run__plan").order_by("at", "id")
        )

    @cached_property
    def _positions(self) -> Mapping[str, int]:
        """Where in the ledger the entries are that the lines follow from."""
        keys = [
            *(f"update:{fact.update_id}" for fact in self.facts if fact.update_id),
            *(f"valuation:{value.valuation_id}" for value in self.values),
            *(credit.entry for credit in self.credits),
        ]
        return positions_of(self.participation.federation_id, keys)

    @property
    def sums(self) -> Mapping[str, float]:
        counted = [fact for fact in self.facts if fact.outcome == Outcome.ACCEPTED]
        sums = {name: sum(getattr(fact, name) for fact in counted) for name in UNITS}
        return {
            **sums,
            "value": sum(value.phi for value in self.values),
            "paid": sum(credit.paid for credit in self.credits),
            "held": sum(credit.held for credit in self.credits),
        }

    @property
    def fact_lines(self) -> list[tuple[ContributionFact, int | None]]:
        return [(fact, self._positions.get(f"update:{fact.update_id}")) for fact in self.facts]

    @property
    def value_lines(self) -> list[tuple[Value, int | None]]:
        return [
            (value, self._positions.get(f"valuation:{value.valuation_id}")) for value in self.values
        ]

    @property
    def credit_lines(self) -> list[tuple[Credit, int | None]]:
        return [(credit, self._positions.get(credit.entry)) for credit in self.credits]

    def lines(self) -> Iterator[Line]:
        """Everything, for a table."""
        for fact, entry in self.fact_lines:
            where: dict[str, Any] = {
                "at": fact.at,
                "run": fact.round.run.name,
                "round": fact.round.number,
            }
            told: dict[str, Any] = {"detail": fact.get_outcome_display(), "entry": entry}
            for name, unit in UNITS.items():
                yield Line(what=name, figure=getattr(fact, name), unit=unit, **where, **told)
        for value, entry in self.value_lines:
            yield _of_value(value, entry)
        for credit, entry in self.credit_lines:
            where = {"at": credit.at, "run": credit.reward.run.name, "round": None}
            told = {"unit": "credits", "detail": credit.get_kind_display(), "entry": entry}
            yield Line(what="paid", figure=credit.paid, **where, **told)
            yield Line(what="held_back", figure=credit.held, **where, **told)


def _of_value(value: Value, entry: int | None) -> Line:
    current = value.valuation.round
    return Line(
        what="value",
        at=value.valuation.ended_at or value.valuation.created_at,
        run=current.run.name,
        round=current.number,
        figure=value.phi,
        unit="loss",
        detail=f"{value.valuation.method}, {_span(value)}",
        entry=entry,
    )


def _span(value: Value) -> str:
    if value.low is None or value.high is None:
        return "interval not known"
    return f"{value.low:.6g} to {value.high:.6g}"


def rows_of(lines: Iterable[Line]) -> Iterator[list[object]]:
    """Lines as cells of a spreadsheet."""
    for line in lines:
        yield [
            line.what,
            line.at.isoformat(timespec="seconds"),
            line.run,
            line.round,
            line.figure,
            line.unit,
            line.detail,
            line.entry,
        ]
