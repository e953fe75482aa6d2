"""The verifier computes values and credits by code of its own: it says what the hub says."""

from __future__ import annotations

import json
import random
from dataclasses import asdict

import pytest

from federation.valuation import (
    Bin,
    Measured,
    RewardRule,
    Table,
    credits_of,
    document_of,
    replay,
    valuations,
)
from federation.valuation.exact import coalitions
from tests.federation.valuation.games import valuation
from verifier.ledger.splitting import split_of
from verifier.ledger.valuing import values_of


def recorded(name: str, seed: int) -> dict:
    """A round of some players, two of whom may have brought the same, on several probes."""
    dice = random.Random(seed)
    names = [f"player {number}" for number in range(dice.randint(2, 5))]
    gains = {player: dice.gauss(0.1, 0.1) for player in names}

    def sums(coalition: frozenset[str]) -> tuple[Bin, ...]:
        gain = [sum(gains[one] * dice.uniform(0.8, 1.2) for one in coalition) for _ in range(5)]
        return tuple(Bin(round(1e7 * (2 - one)), 10) for one in gain)

    known = [
        Measured(one, owner, sums(one))
        for owner in (None, *names)
        for one in coalitions(tuple(names))
    ]
    alike = (frozenset(names[:2]),) if seed % 2 and len(names) > 3 else ()
    asked = valuation(
        names, valuations[name](), seed=f"{seed:064x}", clusters=alike, samples=50, trim=0.2
    )
    return json.loads(json.dumps(document_of(name, asked, Table.of(known))))


@pytest.mark.parametrize("name", sorted(valuations))
@pytest.mark.parametrize("seed", range(6))
def test_values_are_the_same_to_the_last_bit_and_intervals_nearly(name, seed):
    document = recorded(name, seed)
    found = values_of(document)
    for player, one in replay(document).contributions.items():
        value, lower, upper = found[player]
        assert value == one.value
        assert (lower, upper) == pytest.approx((one.lower, one.upper), rel=1e-12, abs=1e-15)


def test_credits_are_the_same():
    dice = random.Random(2)
    for number in range(500):
        phis = {str(one): dice.choice([0.0, 0.25, dice.gauss(0.1, 0.2)]) for one in range(6)}
        rule = RewardRule(
            dice.randint(0, 8) / 2, round(dice.random() / 2, 2), round(dice.random(), 2)
        )
        budget, seed = dice.randrange(10 ** dice.randint(1, 6)), str(number)
        ours, theirs = (
            credits_of(budget, phis, rule, seed),
            split_of(budget, phis, asdict(rule), seed),
        )
        assert (ours.paid, ours.held, ours.left) == (theirs.paid, theirs.held, theirs.left)
