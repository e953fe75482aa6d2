"""Who brought the same shares one value, in the rounds in which it has not shared it already."""

from __future__ import annotations

import pytest

from verifier.ledger.splitting import check_credits, split_of, summed

ROUNDS = [(1, {"a": 0.4, "b": 0.5, "c": 0.3}), (2, {"a": 0.2, "b": 0.2, "c": 0.1})]
RULE = {"rho": 1.0, "floor": 0.0, "hold_back": 0.0}
SEED = "00" * 32


@pytest.mark.parametrize(
    ("cluster", "shares"),
    [
        ({"participations": ["a", "b"], "rounds": [1]}, 0.25 + 0.2),
        ({"participations": ["a", "b"], "rounds": [1, 2]}, 0.25 + 0.1),
        (["a", "b"], 0.25 + 0.1),
    ],
    ids=["one round", "both", "as older entries say it"],
)
def test_an_entry_says_in_which_rounds(cluster: object, shares: float) -> None:
    values = {"a": shares, "b": shares, "c": 0.4}
    split = split_of(1000, values, RULE, SEED)
    entry = {
        "budget": 1000,
        "rule": RULE,
        "seed": SEED,
        "suspects": [],
        "clusters": [cluster],
        "left": split.left,
        "credits": [
            {"participation": one, "value": value, "paid": split.paid[one], "held": split.held[one]}
            for one, value in values.items()
        ],
    }
    assert check_credits(entry, ROUNDS) == split


def test_suspects_have_nothing_to_share() -> None:
    both = frozenset("ab"), frozenset({1, 2})
    found = summed(ROUNDS, [both], {"a": frozenset({1}), "b": frozenset({1, 2})})
    assert found == {"a": 0.1, "b": 0.1, "c": 0.4}
