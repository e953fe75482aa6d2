"""The aggregation engine: a round's updates become the next adapter, out of core.

What is aggregated is the change of the model,

    ΔW' = ΔW₀ + Σ wᵢ (s·BᵢAᵢ − s·cut_rᵢ(B₀A₀)),

where cut_r keeps the leading r components, those that the participation started from. Tensors that
are no LoRA factors move by Σ wᵢ (xᵢ − x₀). The weights come from the shares of the examples, from
the bound on the norm of each change, and from a rule that judges the evidence; a combination other
than the mean takes the changes piece by piece instead.

Modules are walked one by one, plain tensors in pieces, each read once in a pass: one pass for the
evidence where it is needed and not yet there, one for the result. Memory holds a few of the
largest pair for each core, and does not grow with the number of updates or modules.

The same inputs give the same bytes on the same kind of processor, in whatever order they come and
however many cores there are: updates are sorted by digest, sums run in float64 in a fixed order,
and each part of the model is computed by one thread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path

from federation.cohort import Cohort, WeightedUpdate, open_cohort
from federation.controls import Controlling
from federation.cores import in_order
from federation.judging import Judged, weights_of
from federation.layout import (
    Chosen,
    everything,
    lora_factor,
    modules_of,
    ranks_of,
    residual_rank,
)
from federation.measuring import measure
from federation.method import Method
from federation.reading import Module, members_of, parts_of, read_pair
from federation.rules import Evidence, Weights
from federation.rules.base import counted
from federation.stepping import server_step
from federation.strategies import AggregationRefused, ResidualStrategy
from federation.strategies.base import error_of, ideal
from federation.tensors import BLOCK_VALUES, TensorFile
from federation.walk import Walk

__all__ = [
    "AggregationRefused",
    "AggregationReport",
    "Method",
    "WeightedUpdate",
    "aggregate",
    "change_norm",
    "evidence_of",
]

MOST_COSINES = 100  # updates up to which the report holds all of their cosines


@dataclass(frozen=True, slots=True)
class AggregationReport:
    """What the engine did.

    `digest` names the written bytes. `relative_error` is ‖ΔW' − exact ΔW'‖ / ‖exact ΔW'‖ over all
    modules, where what rule and bound make of the weights counts as exact; none where the server's
    optimiser stepped along averaged factors, which have no exact counterpart. `discarded_energy`:
    the share of the squared singular values cut away; `ranks` the components in use by module; by
    digest: `norms`, how far each update moved the model, and `weights`, what it counted; `bound`
    the norm bound in force; `clipped` whom it scaled down; `cosines` between the updates in the
    order of `norms`, where evidence was taken; `state` names what the server's optimiser
    remembers, and `state_discarded` is the share of its velocities that had no room; `controls`
    are the digests of the updates whose control variates are in it.
    """

    digest: str
    relative_error: float | None
    discarded_energy: float
    ranks: dict[str, int]
    norms: dict[str, float]
    weights: dict[str, float]
    bound: float | None
    clipped: tuple[str, ...]
    cosines: list[list[float]] | None
    seconds: float
    state: str | None = None
    state_discarded: float = 0.0
    controls: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The report as JSON takes it."""
        lists = {"clipped": list(self.clipped), "controls": list(self.controls)}
        return {**asdict(self), **lists}


def aggregate(
    *,
    start: Path,
    updates: Sequence[WeightedUpdate],
    method: Method,
    target: Path,
    evidence: Evidence | None = None,
    state: Path | None = None,
    state_target: Path | None = None,
    members: int | None = None,
) -> AggregationReport:
    """Write the adapter that follows from `start` and its updates to `target`.

    Files are checked against the layout of `start`; their digests are taken as given, and so are
    norms and `evidence` where they are there: what is missing of what the method needs is measured
    first; for the result only those that count are read. Called again, it writes the same bytes.
    Raises AggregationRefused, and then leaves no usable target. An optimiser that remembers
    something reads it from `state`, which the round before has written, and writes it to
    `state_target`. `members`: how many sites could have sent an update, where that is more than
    have; for control variates.
    """
    began = time.perf_counter()
    with ExitStack() as files:
        cohort = open_cohort(files, start, updates, method.travels)
        _check_form(cohort, method)
        _check_ranks(cohort, method)
        _check_count(cohort, method)
        evidence = _evidence(cohort, method, evidence)
        judged = weights_of(cohort, method, evidence)
        counting = counted(judged.weights.shares) or range(len(cohort.updates))
        those, weights = cohort.at(counting), judged.weights.at(counting)
        controlling = _controlling(those, method, judged, members)
        step = server_step(
            files, those, method, state=state, target=state_target, controlling=controlling
        )
        walk = Walk(those, method, weights, step)
        digest = walk.write(target)
        if method.strategy.averages_factors:
            _measure_error(walk, those, weights, target)
    is_known = not (step and method.strategy.averages_factors and walk.ranks)
    few = evidence is not None and len(evidence) <= MOST_COSINES
    return AggregationReport(
        digest=digest,
        relative_error=sqrt(_share(walk.error, walk.ideal)) if is_known else None,
        discarded_energy=_share(walk.discarded, walk.ideal),
        ranks=walk.ranks,
        norms=dict(zip(cohort.digests, judged.norms, strict=True)),
        weights=dict(zip(cohort.digests, judged.weights.products, strict=True)),
        bound=judged.bound,
        clipped=judged.clipped,
        cosines=evidence.cosines if evidence and few else None,
        seconds=time.perf_counter() - began,
        state=step.digest() if step else None,
        state_discarded=step.discarded() if step else 0.0,
        controls=_remembered(those, controlling),
    )


def evidence_of(
    *,
    start: Path,
    updates: Sequence[WeightedUpdate],
    scale: float,
    travels: Chosen = everything,
) -> Evidence:
    """Inner products of what the updates do to the model; the same whenever it is asked.

    `travels`: what an update of their round holds. Raises AggregationRefused where an update does
    not fit `start` or holds NaN or infinity.
    """
    with ExitStack() as files:
        return measure(open_cohort(files, start, updates, travels), scale)


def change_norm(
    *,
    start: Path,
    update: Path,
    rank: int,
    scale: float,
    codec: str = "fp32",
    travels: Chosen = everything,
) -> float:
    """How far an update trained at `rank` moves the model.

    `travels`: what an update of its round holds. Raises AggregationRefused where the update does
    not fit `start` or holds NaN or infinity.
    """
    one = WeightedUpdate(update, 1.0, rank, "the update", codec)
    return evidence_of(start=start, updates=[one], scale=scale, travels=travels).norm(0)


def _check_form(cohort: Cohort, method: Method) -> None:
    """A state that holds more than plain LoRA is for strategies that know what to do with it."""
    layout, strategy = cohort.start.layout, method.strategy
    if residual_rank(layout) and not isinstance(strategy, ResidualStrategy):
        raise AggregationRefused("unsupported_adapter", "only fedex goes on from residuals")
    has_middle = any(lora_factor(name) == "R" for name in layout.tensors)
    if has_middle and not strategy.averages_factors:
        raise AggregationRefused("unsupported_adapter", "only fedsb trains between the factors")


def _check_ranks(cohort: Cohort, method: Method) -> None:
    """Averaged factors are averaged value by value, so all of them have one shape."""
    ranks = {method.rank, *ranks_of(cohort.start.layout)}
    is_averaging = method.strategy.averages_factors or isinstance(method.strategy, ResidualStrategy)
    if is_averaging and modules_of(cohort.start.layout):
        ranks |= {update.rank for update in cohort.updates}
        if len(ranks) > 1:
            raise AggregationRefused("unequal_ranks", f"ranks {sorted(ranks)} cannot be averaged")


def _check_count(cohort: Cohort, method: Method) -> None:
    """A method that guards against lies promises nothing for fewer updates than it needs."""
    judges = [update for update in cohort.updates if update.is_root]
    count = len(judges) + sum(share > 0 for share in cohort.shares)
    if method.rule.needs_root and not judges:
        raise AggregationRefused("no_root", "the round has no update of the root of trust")
    if count < method.fewest:
        detail = f"{method.fewest} updates are needed to judge them, and there are {count}"
        raise AggregationRefused("too_few_updates", detail)


def _evidence(cohort: Cohort, method: Method, given: Evidence | None) -> Evidence | None:
    if given is not None:
        return replace(given.of(cohort.digests), root=cohort.root)
    is_measured = all(update.norm is not None for update in cohort.updates)
    if is_measured and not method.rule.needs_evidence:
        return None
    return measure(cohort, method.scale)


def _controlling(
    cohort: Cohort, method: Method, judged: Judged, members: int | None
) -> Controlling | None:
    """An update that the bound scaled down is not remembered: its length is not to be trusted."""
    if method.rates is None:
        return None
    is_anew = any(update.is_anew for update in cohort.updates)
    return Controlling(
        rates=method.rates,
        steps=tuple(update.steps for update in cohort.updates),
        counts=tuple(not is_anew and d not in judged.clipped for d in cohort.digests),
        members=max(members or 0, len(cohort.updates)),
        is_anew=is_anew,
    )


def _remembered(cohort: Cohort, controlling: Controlling | None) -> tuple[str, ...]:
    if controlling is None:
        return ()
    each = zip(cohort.digests, controlling.counts, strict=True)
    return tuple(digest for digest, counts in each if counts)


def _measure_error(walk: Walk, cohort: Cohort, weights: Weights, target: Path) -> None:
    """How far what was written is from the exact change, for a strategy that does not say."""
    with TensorFile(target) as written:

        def compared(module: Module) -> tuple[str, int, float, float]:
            start = read_pair(cohort.start, module.name)
            exact = ideal(start, members_of(cohort, module.name, weights.products))
            published = read_pair(written, module.name)
            return module.name, published.rank, *error_of(published, exact)

        parts = parts_of(cohort, values=BLOCK_VALUES)
        modules = (part for part in parts if isinstance(part, Module))
        for name, rank, total, error in in_order(compared, modules):
            walk.ranks[name] = rank
            walk.ideal += total
            walk.error += error


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
