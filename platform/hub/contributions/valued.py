"""What contributions were worth, as pages and the API show it: by round, and all together."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Prefetch, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext as _

from federation import valuation as pure
from federation.valuation.documents import document_of
from federation.valuation.rounds import cumulated
from hub.accounts.models import User
from hub.common.errors import NotFound
from hub.contributions.models import Valuation, ValuationState, Value
from hub.contributions.valuations.members import tasks_for
from hub.contributions.valuations.rows import game_of, method_of, table_of
from hub.federations.models import Federation
from hub.federations.selectors import federations_of
from hub.runs.models import Purpose, Run, Task, TaskState

MOST_ROUNDS = 200  # that are added up, the last ones
GOING_ON = (ValuationState.QUEUED, ValuationState.MEASURING)


def valuations_visible_to(user: User) -> QuerySet[Valuation]:
    """Valuations of the person's federations, with their progress and their values."""
    return with_progress(
        Valuation.objects.filter(round__run__federation__in=federations_of(user))
    ).prefetch_related(_values())


def with_progress(valuations: QuerySet[Valuation]) -> QuerySet[Valuation]:
    """`planned` and `measured`: models of coalitions that are asked for by now, and known."""
    return valuations.select_related("round__run").annotate(
        planned=Count("scores"), measured=Count("scores", filter=Q(scores__losses__isnull=False))
    )


def _values() -> Prefetch[str, QuerySet[Value], str]:
    values = Value.objects.select_related("participation__organisation").defer("shaken")
    return Prefetch("values", values.order_by("-phi", "pk"))


def record_of(found: Valuation) -> dict[str, Any]:
    """All that the values follow from, as the ledger has it: `replay` gives them again.

    Raises:
        NotFound: its measuring has not begun.
    """
    if not found.players:
        raise NotFound("nothing is measured yet")
    return document_of(found.method, game_of(found), table_of(found))


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one organisation's measurements; `reason` says why there are none."""

    participation: UUID
    organisation: str
    state: str
    reason: str

    @property
    def is_left_out(self) -> bool:
        return self.state in {TaskState.FAILED, TaskState.CANCELLED}


def answers_to(found: Valuation) -> list[Answer]:
    """Whom a valuation asked, and whose word it has."""
    tasks = tasks_for(found).select_related("participation__organisation").order_by("pk")
    return [
        Answer(
            task.participation_id,
            task.participation.organisation.name,
            task.state,
            _reason(task),
        )
        for task in tasks
    ]


def _reason(task: Task) -> str:
    if task.state == TaskState.CANCELLED:
        return _("it had not answered when the time was over")
    return task.failure_detail or task.failure_code.replace("_", " ")


# ---------------------------------------------------------------------- over rounds


@dataclass(frozen=True, slots=True)
class Worth:
    """One organisation's value, of a round or of several; no bounds where nothing says."""

    participation: UUID
    value: float
    lower: float | None
    upper: float | None

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves no doubt of the sign."""
        return self.lower is not None and self.upper is not None and self.lower * self.upper > 0


@dataclass(frozen=True, slots=True)
class RoundWorth:
    """One round's values, by participation."""

    valuation: Valuation
    worths: Mapping[UUID, Worth]

    @property
    def number(self) -> int:
        return self.valuation.round.number

    @property
    def values(self) -> list[Worth]:
        return list(self.worths.values())


class Worths:
    """The values of a federation, or of one run of it; read when they are first asked for.

    Of each round the valuation counts that its plan asked for, else the first one. Rounds are
    added up that were valued by the same method, which is the last round's.
    """

    def __init__(self, valuations: QuerySet[Valuation]) -> None:
        self._all = valuations

    @cached_property
    def rounds(self) -> list[RoundWorth]:
        """The rounds that were valued, in their order, the last `MOST_ROUNDS` of them."""
        order = [F("is_planned").desc(), F("ended_at").asc()]
        first = Window(RowNumber(), partition_by=F("round"), order_by=order)
        recorded = self._all.filter(state=ValuationState.RECORDED).annotate(place=first)
        newest = recorded.filter(place=1).select_related("round__run", "probe")
        found = newest.order_by("-round__created_at").prefetch_related("values")[:MOST_ROUNDS]
        return [RoundWorth(one, _worths(one.values.all())) for one in reversed(found)]

    @property
    def method(self) -> str:
        """Of the last round that was valued; empty where none was."""
        return self.rounds[-1].valuation.method if self.rounds else ""

    @property
    def added(self) -> list[RoundWorth]:
        """The rounds that the sums are of."""
        return [one for one in self.rounds if one.valuation.method == self.method]

    @cached_property
    def cumulated(self) -> Mapping[UUID, Worth]:
        """All rounds together, by participation, the highest first."""
        if not self.added:
            return {}
        method = method_of(self.added[-1].valuation)[1]
        sums = cumulated(method, [_valued(one.valuation) for one in self.added])
        ordered = sorted(sums.items(), key=lambda item: (-item[1].value, item[0]))
        return {UUID(player): _worth(UUID(player), one) for player, one in ordered}

    @property
    def ranking(self) -> list[Worth]:
        return list(self.cumulated.values())

    @cached_property
    def going_on(self) -> list[Valuation]:
        """What is being measured now, with its progress."""
        return list(with_progress(self._all.filter(state__in=GOING_ON)).order_by("created_at"))

    @cached_property
    def failed(self) -> list[Valuation]:
        """What could not be measured and was not asked for again."""
        failed = self._all.filter(state=ValuationState.FAILED).select_related("round__run")
        return list(failed.order_by("-created_at")[:MOST_ROUNDS])

    @property
    def seconds(self) -> float:
        """What all of it has cost, of workers and of sites."""
        return sum(one.valuation.seconds for one in self.added)

    @property
    def evaluations(self) -> int:
        return sum(one.valuation.evaluations or 0 for one in self.added)


def values_of(scope: Federation | Run) -> Worths:
    """What contributions to a federation, or to one run of it, were worth; no baselines."""
    field = "round__run" if isinstance(scope, Run) else "round__run__federation"
    together = Q(round__run__purpose=Purpose.FEDERATED) if isinstance(scope, Federation) else Q()
    return Worths(Valuation.objects.filter(together, **{field: scope}))


def _worths(values: Iterable[Value]) -> dict[UUID, Worth]:
    return {
        one.participation_id: Worth(one.participation_id, one.phi, one.low, one.high)
        for one in values
    }


def _worth(participation: UUID, one: pure.Contribution) -> Worth:
    return Worth(participation, one.value, one.lower, one.upper)


def _valued(found: Valuation) -> pure.Valued:
    """What was recorded, as it was computed. Needs `values`."""
    values = list(found.values.all())
    return pure.Valued(
        contributions={
            str(one.participation_id): pure.Contribution(one.phi, one.low, one.high)
            for one in values
        },
        owners=(),
        worth=found.worth,
        evaluations=found.evaluations or 0,
        shaken={str(one.participation_id): array("d", bytes(one.shaken)) for one in values},
    )
