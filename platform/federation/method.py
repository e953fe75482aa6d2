"""How a round is aggregated: what the plan says, as the parts that do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

from federation import optimisers
from federation.combinations import Combination, combinations
from federation.layout import Chosen, everything
from federation.optimisers import LinearOptimiser, Optimiser
from federation.plan import Plan
from federation.plan_server import CONTROLLED, Server
from federation.rates import Rates
from federation.registry import configured
from federation.rules import Rule, rules
from federation.strategies import AggregationRefused, Strategy, strategies
from federation.terms import TERMS
from federation.transforms import NormClip


@dataclass(frozen=True, slots=True)
class Method:
    """Three things that vary on their own, and the space in which they work.

    `strategy`: the algebra of LoRA pairs; `rule`: what each update counts; `combination`: how the
    changes of one tensor become one; `clip`: the bound on the norm of each change; `optimiser`: the
    step of the server along what they become. `scale` is the LoRA scale s, one for all; `rank` is
    the result's. `travels`: what the updates hold. `normalise_steps`:
    every change counts as if all had taken as many steps (`judging.step_factors`). `rates`: those
    of the sites, where the server remembers control variates; `trained`: of which tensors, in one
    round or another.
    """

    strategy: Strategy
    scale: float
    rank: int
    rule: Rule = field(default_factory=rules["shares"])
    combination: Combination = field(default_factory=combinations["mean"])
    clip: NormClip = field(default_factory=NormClip)
    travels: Chosen = everything
    optimiser: Optimiser = field(default_factory=optimisers.NoOptimiser)
    normalise_steps: bool = False
    rates: Rates | None = None
    trained: Chosen = everything

    @property
    def fewest(self) -> int:
        """The fewest updates for which rule and combination keep what they promise."""
        return max(self.rule.fewest(), self.combination.fewest())

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise AggregationRefused("rank_zero", "the rank of an adapter is at least 1")
        if not (isfinite(self.scale) and self.scale > 0):
            raise AggregationRefused("scale", f"{self.scale} is no LoRA scale")
        is_fitting = self.strategy.averages_factors or isinstance(self.optimiser, LinearOptimiser)
        if self.remembers and not is_fitting:
            raise AggregationRefused(
                "optimiser", "moments of values need factors that mean the same in every round"
            )
        if self.rates and (self.rule.needs_evidence or not self.combination.is_linear):
            raise AggregationRefused("optimiser", "control variates would pass by the guard")

    @property
    def remembers(self) -> bool:
        """Whether the server's optimiser has a state from round to round."""
        return bool(self.optimiser.slots)

    @classmethod
    def of(cls, plan: Plan, round_number: int = 1) -> Method:
        """What the plan asks for in a round of this number."""
        chosen = plan.aggregation
        return cls(
            strategy=configured(
                strategies,
                chosen.strategy,
                energy=chosen.energy,
                residual_rank=chosen.residual_rank,
            ),
            scale=plan.adapter.scale,
            rank=plan.adapter.rank,
            rule=configured(rules, chosen.rule, liars=chosen.liars),
            combination=configured(combinations, chosen.combination, liars=chosen.liars),
            clip=NormClip(chosen.clip),
            optimiser=_optimiser(plan.server),
            normalise_steps=chosen.normalise_steps,
            travels=chosen.travels(round_number),
            rates=Rates.of(plan.training) if plan.server.optimiser == CONTROLLED else None,
            trained=TERMS[chosen.strategy].trained,
        )


def _optimiser(server: Server) -> Optimiser:
    """The server's, with the usual settings where the plan says nothing."""
    settings = server.given()
    if "learning_rate" in settings:
        settings["lr"] = settings.pop("learning_rate")
    return configured(optimisers.optimisers, server.optimiser, **settings)
