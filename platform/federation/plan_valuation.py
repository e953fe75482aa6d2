"""The plan's valuation: how what each organisation contributed to a round is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from federation.plan_parts import Part
from federation.registry import configured
from federation.valuation import Method, valuations

MOST_EXACT = 8  # players whose coalitions are all measured
FEWEST_OWNERS = 3  # with private probes: with two, each would be judged by one rival alone
ON_COALITIONS = frozenset({"shapley", "exact", "guided_permutations", "leave_one_out"})


class ValuationSpec(Part):
    """How contributions are measured. The game is that of fixed weights (docs/adr/0021)."""

    game: Annotated[
        Literal["fixed_weight"],
        Field(
            title="Game",
            description="A coalition's model is the start of the round with the changes of its "
            "members, each with the weight it had among all.",
        ),
    ] = "fixed_weight"
    method: Annotated[
        Literal[
            "none",
            "shapley",
            "exact",
            "guided_permutations",
            "leave_one_out",
            "gradient_alignment",
            "cgsv",
        ],
        Field(
            title="Method",
            description="none: nothing is measured; shapley: exact with up to eight updates in a "
            "round, else by sampled orders; leave_one_out: what would be missing without each; "
            "gradient_alignment: how far each goes down the slope of the loss, one pass; cgsv: "
            "how far each goes the way of all, without any examples, and easily deceived.",
        ),
    ] = "none"
    probe: Annotated[
        Literal["public", "members"],
        Field(
            title="Measured on",
            description="public: the federation's probe set, by the hub; members: test data of "
            "every organisation, at its own site, each valuing the others.",
        ),
    ] = "public"
    examples: Annotated[
        int,
        Field(ge=20, le=5000, title="Most examples", description="Of one probe."),
    ] = 256
    trim: Annotated[
        float,
        Field(
            ge=0,
            lt=0.5,
            strict=False,
            title="Left out at each end",
            description="Share of the organisations whose word on another is not counted because "
            "it is the highest or the lowest.",
        ),
    ] = 0.25
    cycles: Annotated[
        int,
        Field(
            ge=2,
            le=100,
            title="Most cycles of orders",
            description="Where orders are sampled: in each cycle everybody leads one.",
        ),
    ] = 3
    truncation: Annotated[
        float,
        Field(
            ge=0,
            le=0.5,
            strict=False,
            title="Truncation",
            description="An order ends where so small a share of the worth of all is left.",
        ),
    ] = 0.02

    every: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            title="Every so many rounds",
            description="1: every round is valued. The last one always is.",
        ),
    ] = 1

    @property
    def is_asked_for(self) -> bool:
        return self.method != "none"

    @property
    def reads_public_probe(self) -> bool:
        """Whether nothing can be measured without the federation's probe set."""
        return self.is_asked_for and self.probe == "public" and self.method != "cgsv"

    def is_due(self, number: int, *, last: int) -> bool:
        """Whether a round of this number is valued, in a run whose last one is `last`."""
        return self.is_asked_for and (number % self.every == 0 or number == last)

    def method_for(self, players: int) -> tuple[str, Method]:
        """The name and the method for a round of so many players. KeyError where none is asked."""
        name = self.method
        if name == "shapley":
            name = "exact" if players <= MOST_EXACT else "guided_permutations"
        settings = {"cycles": self.cycles, "truncation": self.truncation}
        return name, configured(valuations, name, **settings)

    def conflicts(self, *, quorum: int, is_attributable: bool) -> Iterator[str]:
        """Why contributions cannot be measured so in such a run."""
        if self.method == "exact" and quorum > MOST_EXACT:
            yield (
                f"exact values of {quorum} updates take {2**quorum} measurements a round, and up "
                f"to {MOST_EXACT} updates are valued so: choose shapley, which samples above that"
            )
        if self.probe != "members" or not self.is_asked_for:
            return
        if self.method == "cgsv":
            yield "cgsv looks at no examples: measure it on the public set, or choose another"
        if quorum < FEWEST_OWNERS:
            yield (
                f"where members value each other at least {FEWEST_OWNERS} have to take part: "
                f"raise the quorum to {FEWEST_OWNERS}, or measure on the public set"
            )
        if not is_attributable:
            yield (
                "members who measure coalitions have everybody's update in their hands: allow "
                "updates to be told apart by members, or measure on the public set"
            )
