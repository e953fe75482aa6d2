"""The plan's rewards: the credits of a run, and the rule by which they are split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from federation.plan_parts import Part
from federation.valuation.rewards import MOST_RHO, RewardRule

MOST_CREDITS = 10**12


class Rewards(Part):
    """What is split when the run has ended, and how. A budget of 0: nothing is."""

    budget: Annotated[
        int,
        Field(
            ge=0,
            le=MOST_CREDITS,
            title="Credits",
            description="Whole credits for all together, once the run has ended. What a credit is "
            "good for is for the charter to say. 0: no rewards.",
        ),
    ] = 0
    rho: Annotated[
        float,
        Field(
            ge=0,
            le=MOST_RHO,
            multiple_of=0.5,
            strict=False,
            title="Power of the value",
            description="Shares follow the value of the contribution to this power: 1 in "
            "proportion, 0 in equal parts among all who helped.",
        ),
    ] = 1.0
    floor: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            strict=False,
            title="In equal parts",
            description="Share of the credits that all whose updates counted get in equal parts, "
            "whatever they were worth.",
        ),
    ] = 0.0
    hold_back: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            strict=False,
            title="Held back",
            description="Share of each one's credits that is paid later, if no case about its "
            "updates is upheld until then.",
        ),
    ] = 0.2
    hold_days: Annotated[
        int,
        Field(
            ge=0, le=3650, title="Held back for", description="Days after the credits were split."
        ),
    ] = 30

    @property
    def are_promised(self) -> bool:
        return self.budget > 0

    @property
    def rule(self) -> RewardRule:
        return RewardRule(rho=self.rho, floor=self.floor, hold_back=self.hold_back)

    def conflicts(self, *, is_valued: bool) -> Iterator[str]:
        """Why credits cannot be split so in such a run."""
        if self.are_promised and not is_valued:
            yield (
                "credits are split by what contributions were worth: choose a method of valuation, "
                "or promise none"
            )
