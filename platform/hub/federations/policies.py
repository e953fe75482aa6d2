"""A federation's policy: what its runs may be, who joins how, and who decides what.

Stored as JSON with the federation, in the form that `Policy` checks. Fields are added with a
default that leaves older federations as they were.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LONGEST_VOTE_DAYS = 60
LONGEST_PERIOD_DAYS = 366
LARGEST_UPDATES = (2**20, 2**36)  # bytes that a federation may allow an update to have


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class VotingRule(_Part):
    """How organisations decide together: one voice each."""

    quorum: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.5  # share that must vote
    majority: Literal["simple", "two_thirds", "unanimous"] = "simple"  # of those who said yes or no
    days: Annotated[int, Field(ge=1, le=LONGEST_VOTE_DAYS)] = 7  # until the vote closes


class Policy(_Part):
    """What the members have agreed on; changed by a decision of theirs only."""

    join: Literal["request", "invitation", "open"] = "request"
    minimum_participants: Annotated[int, Field(ge=1, le=1000)] = 1  # that train, in each run
    strategies: tuple[str, ...] = ()  # by which runs may aggregate; empty: by any
    must_commit: bool = False  # runs ask for digests before updates are opened
    may_attribute: bool = True  # runs may let members tell single updates apart
    valuation: tuple[str, ...] = ()  # methods of which a run must use one; empty: as it likes
    credits_without_vote: Annotated[int, Field(ge=0)] | None = None  # of a run; None: any number
    credits_in_period: Annotated[int, Field(ge=0)] | None = None  # of all its runs; None: any
    period_days: Annotated[int, Field(ge=1, le=LONGEST_PERIOD_DAYS)] = 90  # before a run begins
    voting: VotingRule = VotingRule()
    led: tuple[str, ...] = ()  # kinds of proposals that the lead decides alone


# Federations founded before there were votes: their lead decided, and still does.
FORMER = Policy(led=("admit", "release", "rollback"))


def former_policy() -> dict[str, object]:
    """What a federation without a policy of its own has."""
    return FORMER.model_dump(mode="json")
