"""Whether a valuation's values, and how sure they are, follow from the losses it recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import floor, fsum, isclose, sqrt
from operator import mul
from random import Random
from statistics import NormalDist
from typing import Any

from verifier.faults import Wrong
from verifier.ledger.canon import written
from verifier.ledger.games import METHODS, Draws, Game, Unknown, gains_by_bin, value_of

CONFIDENCE = 0.95
CLOSE = 1e-9  # relative; sums of the same doubles may differ in the last bit

Bounds = tuple[float, float | None, float | None]


def check_valuation(payload: Mapping[str, Any]) -> bool:
    """Raise Wrong unless the values follow; False where the record is elsewhere, too large."""
    record = payload.get("record")
    if record is None:
        return False
    if hashlib.sha256(written(record).encode()).hexdigest() != payload["record_sha256"]:
        raise Wrong("the digest of its record is another")
    said = {one["participation"]: one for one in payload["values"]}
    found = values_of(record)
    if said.keys() != found.keys():
        raise Wrong("the values are of others than those who took part")
    for player, (value, lower, upper) in found.items():
        told = said[player]
        for name, one in (("value", value), ("lower", lower), ("upper", upper)):
            if not _same(told[name], one):
                raise Wrong(f"the {name} of {player} is {told[name]}, and {one} follows")
    return True


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=CLOSE, abs_tol=1e-12)


def values_of(record: Mapping[str, Any]) -> dict[str, Bounds]:
    """Value, lower and upper bound of each player. Raises Wrong."""
    try:
        return _Record.read(record).values()
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Wrong(f"its record is none of a valuation: {error!r}") from error


@dataclass(frozen=True, slots=True)
class _Record:
    ids: list[str]
    weights: list[float]
    clusters: list[list[int]]
    games: Mapping[str | None, tuple[Game, Draws]]  # those that are complete, by owner
    trim: float
    samples: int
    seed: str

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> _Record:
        ids = [one["id"] for one in said["players"]]
        weights = [one["weight"] for one in said["players"]]
        if not ids or ids != sorted(set(ids)):
            raise Wrong("its players are not in order")
        heads = sorted({_head(place, said["clusters"], weights) for place in range(len(ids))})
        games = {}
        for probe in said["probes"]:
            losses = {_bits(places): sums for places, sums in probe["losses"]}
            game = Game(tuple(heads), ids, losses, probe["counts"], said["seed"])
            try:
                draws = METHODS[said["method"]](game, said["settings"])
                _ask(game, draws)
            except Unknown:
                continue
            games[probe["owner"]] = game, draws
        if not games:
            raise Wrong("no probe has measured all that its method asks for")
        return cls(
            ids, weights, said["clusters"], games, said["trim"], said["samples"], said["seed"]
        )

    def values(self) -> dict[str, Bounds]:
        return {name: self._valued(place) for place, name in enumerate(self.ids)}

    def _valued(self, place: int) -> Bounds:
        head = _head(place, self.clusters, self.weights)
        cluster = _cluster(place, self.clusters)
        own = {self.ids[one] for one in cluster}
        judges = [game for owner, game in self.games.items() if owner not in own]
        owners = [owner for owner in self.games if owner not in own]
        if not judges:
            raise Wrong(f"only {self.ids[place]} itself has measured it")
        values = [value_of(game, draws, head) for game, draws in judges]
        value = _trimmed(values, self.trim) / len(cluster)
        moved = [
            self._deviations(owner, game, draws, head)
            for owner, (game, draws) in zip(owners, judges, strict=True)
        ]
        again = sorted(
            _trimmed([one + by for one, by in zip(values, each, strict=True)], self.trim)
            / len(cluster)
            for each in zip(*moved, strict=True)
        )
        if not again:
            return value, None, None
        beyond = floor((1 - CONFIDENCE) / 2 * len(again))
        return value, again[beyond], again[-1 - beyond]

    def _deviations(
        self, owner: str | None, game: Game, draws: Draws, player: int
    ) -> Sequence[float]:
        """How far the value would be off on other examples and in other orders."""
        gains = [gains_by_bin(game, steps, draws.parts, player) for steps in draws.steps]
        many, bins, count = len(gains), len(game.counts), sum(game.counts)
        if many == bins == 1:
            return []
        by_bin = [sum(column) / many for column in zip(*gains, strict=True)]
        by_draw = [sum(row) / count for row in gains]
        value = sum(by_bin) / count
        wide_bins, wide_draws = _widening(bins), _widening(many)
        drawn = zip(
            _drawn(bins, self.samples, f"bins/{owner or ''}"),
            _drawn(many, self.samples, f"orders/{self.seed}"),
            strict=True,
        )
        return [
            wide_bins * (sum(map(mul, by_bin, one)) / sum(map(mul, game.counts, one)) - value)
            + wide_draws * (sum(map(mul, by_draw, order)) / many - value)
            for one, order in drawn
        ]


def _ask(game: Game, draws: Draws) -> None:
    """Raise Unknown unless all that counts is measured."""
    for steps in draws.steps:
        for each in steps.values():
            for _, before, after in each:
                game.gain(before, after)


def _cluster(place: int, clusters: Sequence[Sequence[int]]) -> Sequence[int]:
    return next((one for one in clusters if place in one), [place])


def _head(place: int, clusters: Sequence[Sequence[int]], weights: Sequence[float]) -> int:
    """Who plays for a cluster: that of the largest weight, then of the first id."""
    return min(_cluster(place, clusters), key=lambda one: (-weights[one], one))


def _bits(places: Sequence[int]) -> int:
    return sum(1 << place for place in places)


def _trimmed(values: Sequence[float], trim: float) -> float:
    ordered = sorted(values)
    drop = min(floor(trim * len(ordered)), (len(ordered) - 1) // 2)
    kept = ordered[drop : len(ordered) - drop]
    return fsum(kept) / len(kept)


def _widening(count: int) -> float:
    """By how much the spread of so few things is widened (Hesterberg 2015, section 4.3)."""
    if count == 1:
        return 1.0
    z, free = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), count - 1
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    quantile = z + first / free + second / free**2 + third / free**3
    return sqrt(count / free) * quantile / z


@lru_cache(maxsize=64)
def _drawn(size: int, samples: int, label: str) -> tuple[list[int], ...]:
    """How often each of `size` things is drawn, sample after sample."""
    return tuple(_samples(size, samples, label))


def _samples(size: int, samples: int, label: str) -> Iterator[list[int]]:
    dice = Random(label)  # noqa: S311 (nothing secret: anybody shall draw the same)
    for _ in range(samples):
        found = [0] * size
        for _ in range(size):
            found[int(dice.random() * size)] += 1
        yield found
