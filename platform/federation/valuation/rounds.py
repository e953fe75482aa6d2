"""Contributions over several rounds."""

from __future__ import annotations

from collections.abc import Sequence

from federation.valuation.base import Method
from federation.valuation.resampling import spread
from federation.valuation.valuing import Contribution, Valued


def cumulated(method: Method, rounds: Sequence[Valued]) -> dict[str, Contribution]:
    """Each player's over all rounds in which it took part, the first round first.

    The interval is that of the sum, sample by sample: each sample has the same examples in all
    rounds, as the probes have.
    """
    players = sorted({player for one in rounds for player in one.contributions})
    return {player: _over(method, player, rounds) for player in players}


def _over(method: Method, player: str, rounds: Sequence[Valued]) -> Contribution:
    own = [one for one in rounds if player in one.contributions]
    value = method.over_rounds([one.contributions[player].value for one in own])
    samples = zip(*(one.shaken[player] for one in own), strict=True)
    return Contribution(value, *spread([method.over_rounds(sample) for sample in samples]))
