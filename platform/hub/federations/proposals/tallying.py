"""Counting votes: pure arithmetic, without a database.

Abstentions count for the quorum and for no majority. A tie is no majority. A proposal is decided
before its close once the votes that are still open, cast or not, cannot change the result: what
is sure to be accepted is, and what cannot be accepted any more is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Protocol
from uuid import UUID


class Rule(Protocol):
    @property
    def quorum(self) -> float: ...
    @property
    def majority(self) -> str: ...


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    LAPSED = "lapsed"  # too few have voted


@dataclass(frozen=True, slots=True)
class Tally:
    """How the organisations that have a voice now have voted."""

    yes: int = 0
    no: int = 0
    abstained: int = 0
    waiting: int = 0  # have not voted

    @property
    def voted(self) -> int:
        return self.yes + self.no + self.abstained

    @property
    def electorate(self) -> int:
        return self.voted + self.waiting


def tally(
    electorate: Collection[UUID], present: Collection[UUID], votes: Mapping[UUID, str]
) -> Tally:
    """Count the votes of those who have a voice and still take part.

    Whoever left, was expelled or is suspended counts neither with a vote nor for the quorum.
    """
    counted = set(electorate) & set(present)
    said = [votes.get(one) for one in counted]
    return Tally(said.count("yes"), said.count("no"), said.count("abstain"), said.count(None))


def needed(rule: Rule, electorate: int) -> int:
    """How many must vote: the quorum's share, rounded up, and at least one."""
    return max(1, ceil(Fraction(str(rule.quorum)) * electorate))


def outcome(rule: Rule, count: Tally) -> Outcome:
    """What these votes mean when the vote closes."""
    if count.voted < needed(rule, count.electorate):
        return Outcome.LAPSED
    return Outcome.ACCEPTED if has_majority(rule, count.yes, count.no) else Outcome.REFUSED


def settled(rule: Rule, count: Tally) -> Outcome | None:
    """The result, if no completion of the votes that are open can change whether it is accepted."""
    if count.electorate == 0:
        return Outcome.LAPSED
    if not has_majority(rule, count.yes + count.waiting, count.no):
        return Outcome.REFUSED
    has_quorum = count.voted >= needed(rule, count.electorate)
    is_safe = has_majority(rule, count.yes, count.no + count.waiting)
    return Outcome.ACCEPTED if has_quorum and is_safe else None


def has_majority(rule: Rule, yes: int, no: int) -> bool:
    """Whether so many who said yes outweigh so many who said no; nobody's yes is none."""
    match rule.majority:
        case "simple":
            return yes > no
        case "two_thirds":
            return yes > 0 and yes >= 2 * no
        case "unanimous":
            return yes > 0 and no == 0
    raise ValueError(f"no such majority: {rule.majority}")
