"""What a run will cost each organisation, as far as its past rounds can tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, fsum, inf
from statistics import fmean
from uuid import UUID

from federation.coded import PLAIN, bits_per_value
from federation.plan import Plan
from federation.plan_server import CONTROLLED
from federation.terms import TERMS
from hub.federations.places import Place
from hub.runs.models import Update, UpdateState

LOOKED_AT = 200  # updates of the federation, the newest
KEPT = 5  # of each organisation


@dataclass(frozen=True, slots=True)
class Past:
    """One update of an earlier round, and what made it cost that."""

    seconds: float
    bytes_up: int
    bytes_down: int
    rank: int
    plan_rank: int | None  # None: the adapter has no rank
    examples: int
    steps: int
    batch_size: int
    accumulation: int
    adapter: str | None  # None: LoRA, as long as there was nothing else
    codec: str | None  # None: as it is, likewise
    strategy: str = "stack_svd"

    @property
    def seconds_per_example(self) -> float:
        """Of each time that an example was looked at."""
        return self.seconds / (self.steps * self.batch_size * self.accumulation)

    def bytes_up_as(self, rank: int, codec: str) -> float:
        """What the update would have been at another rank and in another codec's form."""
        coding = bits_per_value(codec) / bits_per_value(self.codec or PLAIN)
        return self.bytes_up * coding * rank / self.rank

    def bytes_down_at(self, rank: int) -> float:
        """What the start would have been at another rank, without a residual beside it."""
        if TERMS[self.strategy].has_residual:
            return self.bytes_up_as(rank, PLAIN)
        return self.bytes_down * rank / (self.plan_rank or 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one organisation gives a run; None where nothing is known of it."""

    place: Place
    rank: int
    bytes_up: float | None = None
    bytes_down: float | None = None
    seconds: float | None = None  # of a round


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan will cost with these organisations."""

    costs: Sequence[Cost]
    rounds: int

    @property
    def slowest(self) -> Cost | None:
        """Who sets the pace."""
        known = [cost for cost in self.costs if cost.seconds is not None]
        return max(known, key=lambda cost: cost.seconds or 0.0, default=None)

    @property
    def lasts(self) -> timedelta | None:
        slowest = self.slowest
        if slowest is None or slowest.seconds is None:
            return None
        return timedelta(seconds=slowest.seconds * self.rounds)

    @property
    def bytes(self) -> float | None:
        known = [c.bytes_up + c.bytes_down for c in self.costs if c.bytes_up and c.bytes_down]
        return sum(known) if known else None


def forecast(plan: Plan, places: Iterable[Place], past: Mapping[UUID, Sequence[Past]]) -> Forecast:
    """Scale what was by rank, by the updates' codec, by examples looked at, and by rounds."""
    chosen = list(places)
    costs = [_cost(plan, place, past.get(place.id, ()), len(chosen)) for place in chosen]
    return Forecast(costs, plan.rounds.count)


def _cost(plan: Plan, place: Place, past: Sequence[Past], members: int) -> Cost:
    rank = min(place.rank or plan.adapter.rank, plan.adapter.rank)
    past = [one for one in past if (one.adapter or "lora") == plan.adapter.type]
    if not past:
        return Cost(place, rank)
    rounds, terms = plan.rounds.count, TERMS[plan.aggregation.strategy]
    alike = [one for one in past if TERMS[one.strategy].rounds == terms.rounds]
    sent = [one.bytes_up_as(rank, plan.transfer.codec) for one in alike]
    return Cost(
        place,
        rank,
        bytes_up=rounds * fmean(sent) if sent else None,
        bytes_down=_downloads(plan, members)
        * fmean(one.bytes_down_at(plan.adapter.rank) for one in past),
        seconds=fmean(one.seconds_per_example * _looked_at(plan, one.examples) for one in past),
    )


def _downloads(plan: Plan, members: int) -> float:
    """How many adapters' worth an organisation fetches in all rounds.

    A residual grows in every round by the ranks of all updates but one, up to its bound; a module
    that is smaller than that stops it sooner. A control variate comes from the second round on, and
    is at most as large.
    """
    rounds, rank = plan.rounds.count, plan.adapter.rank
    if TERMS[plan.aggregation.strategy].has_residual:
        most = plan.aggregation.residual_rank or inf
        residuals = (min(number * (members - 1) * rank, most) for number in range(rounds))
        return fsum(1 + residual / rank for residual in residuals)
    return 2 * rounds - 1 if plan.server.optimiser == CONTROLLED else rounds


def _looked_at(plan: Plan, examples: int) -> int:
    """How many examples an organisation with so many goes through in a round, some repeatedly."""
    training = plan.training
    a_step = training.batch_size * training.accumulation
    steps = ceil(examples * training.epochs / a_step)
    return a_step * min(steps, training.max_steps or steps)


def past_of(federation_id: UUID) -> Mapping[UUID, Sequence[Past]]:
    """The latest accepted updates of each participation."""
    newest = (
        Update.objects.filter(
            round__run__federation_id=federation_id, state=UpdateState.ACCEPTED, is_late=False
        )
        .order_by("-created_at")
        .values_list(
            "participation_id",
            "device_seconds",
            "artifact__size_bytes",
            "round__start__size_bytes",
            "rank",
            "round__run__plan__adapter__rank",
            "examples",
            "steps",
            "round__run__plan__training__batch_size",
            "round__run__plan__training__accumulation",
            "round__run__plan__adapter__type",
            "round__run__plan__transfer__codec",
            "round__run__plan__aggregation__strategy",
        )[:LOOKED_AT]
    )
    found: dict[UUID, list[Past]] = defaultdict(list)
    for place, *facts in newest:
        if len(found[place]) < KEPT:
            found[place].append(Past(*facts))
    return dict(found)
