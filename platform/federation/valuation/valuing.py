"""What each player of a round contributed, from what was measured of the round's coalitions.

Of each owner's probe there is a game of its own, and values of its own. A player's is the trimmed
mean of what the probes of the others say: nobody is judged by examples of its own, and a few who
lie about a few cannot move it far. All that goes in is recorded, and all that comes out follows
from it, with nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import floor, fsum

from federation.valuation.base import Method
from federation.valuation.games import (
    Coalition,
    Game,
    Table,
    ValuationRefused,
)
from federation.valuation.resampling import SAMPLES, ByOwner, Gains, Shaken, shaken, spread

TRIM = 0.25  # of the owners at each end: with four of them, the mean of the middle two


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much a player lowered the mean loss; 95 % of such probes would say `lower` to `upper`.

    The bounds are None where nothing says how sure it is. `by_owner`: what each owner's probe says
    by itself, those of the player's own among them, which count for nothing.
    """

    value: float
    lower: float | None
    upper: float | None
    by_owner: Mapping[str | None, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Valued:
    """A round's contributions, of all its players in the order of their ids.

    `worth`: by how much all together lowered the loss; None where the method does not ask.
    `gap`: what of it the values do not account for. `owners`: whose probes were complete.
    `evaluations`: how many models were measured. `shaken`: each value again and again, on other
    examples and orders that could have been.
    """

    contributions: Mapping[str, Contribution]
    owners: tuple[str | None, ...]
    worth: float | None
    evaluations: int
    shaken: Mapping[str, Sequence[float]] = field(repr=False, default_factory=dict)

    @property
    def gap(self) -> float | None:
        if self.worth is None:
            return None
        return self.worth - fsum(one.value for one in self.contributions.values())


@dataclass(frozen=True, slots=True)
class Valuation:
    """How a round is valued. `players`: the weight pᵢ of each that took part, by its id.

    `clusters`: players who brought the same. Such a cluster plays as one of them, that of the
    largest weight (then of the first id), and what that one is worth is shared equally among all.
    Nothing is measured again when a cluster is found.
    """

    method: Method
    players: Mapping[str, float]
    seed: str
    clusters: tuple[frozenset[str], ...] = ()
    trim: float = TRIM
    samples: int = SAMPLES  # of the bootstrap

    def __post_init__(self) -> None:
        if not self.players:
            raise ValuationRefused("no_players", "nobody took part")
        grouped = [player for cluster in self.clusters for player in cluster]
        if len(set(grouped)) < len(grouped) or not set(grouped) <= self.players.keys():
            raise ValuationRefused("unknown_player", "clusters are of players, each in one of them")

    @property
    def playing(self) -> tuple[str, ...]:
        """Who plays for itself and its cluster, sorted by id."""
        return tuple(sorted({self.plays_for(player) for player in self.players}))

    def cluster_of(self, player: str) -> frozenset[str]:
        """The player and whoever brought the same."""
        return next((one for one in self.clusters if player in one), frozenset({player}))

    def plays_for(self, player: str) -> str:
        return min(self.cluster_of(player), key=lambda one: (-self.players[one], one))

    def game(self, table: Table, owner: str | None) -> Game:
        return table.game(owner, self.playing, self.seed)

    def wanted(self, table: Table, owner: str | None) -> list[Coalition]:
        """What of one owner's game can be measured next, in any order or at once."""
        return self.method.wanted(self.game(table, owner))

    def valued(self, table: Table) -> Valued:
        """The contributions, by the owners whose games are complete. Raises ValuationRefused."""
        games = {owner: self.game(table, owner) for owner in table.owners}
        complete = {o: game for o, game in games.items() if not self.method.wanted(game)}
        if not complete:
            raise ValuationRefused("not_measured", "no probe has measured all that is wanted")
        draws = {owner: self.method.draws(game) for owner, game in complete.items()}
        gains = {
            player: {o: Gains.of(game, draws[o], player) for o, game in complete.items()}
            for player in self.playing
        }
        moved = shaken(gains, seed=self.seed, samples=self.samples)
        found = {player: self._contribution(player, gains, moved) for player in self.players}
        return Valued(
            {player: found[player][0] for player in sorted(found)},
            tuple(complete),
            self._worth(complete),
            sum(len(game.losses) for game in games.values()),
            {player: found[player][1] for player in sorted(found)},
        )

    def _contribution(
        self, player: str, gains: ByOwner, moved: Shaken
    ) -> tuple[Contribution, Sequence[float]]:
        cluster, head = self.cluster_of(player), self.plays_for(player)
        values = {owner: one.value for owner, one in gains[head].items()}
        judges = [owner for owner in values if owner not in cluster]
        if not judges:
            raise ValuationRefused("nobody_else_measured", f"only {player} itself was measured by")
        value = trimmed_mean([values[o] for o in judges], self.trim) / len(cluster)
        again = [
            trimmed_mean([values[o] + by for o, by in zip(judges, one, strict=True)], self.trim)
            / len(cluster)
            for one in zip(*(moved[head][o] for o in judges), strict=True)
        ]
        return Contribution(value, *spread(again), by_owner=values), again

    def _worth(self, games: Mapping[str | None, Game]) -> float | None:
        known = [game for game in games.values() if game.everybody in game.losses]
        if len(known) < len(games):
            return None
        return trimmed_mean([game.worth(game.everybody) for game in known], self.trim)


def trimmed_mean(values: Iterable[float], trim: float) -> float:
    """Without the share `trim` of them at each end, rounded down; at least one is left."""
    ordered = sorted(values)
    drop = min(floor(trim * len(ordered)), (len(ordered) - 1) // 2)
    kept = ordered[drop : len(ordered) - drop]
    return fsum(kept) / len(kept)


def seed_of(round_digest: str, charter_digest: str) -> str:
    """The seed of a round's orders, from the digests of what was frozen; in hex."""
    return sha256(bytes.fromhex(round_digest) + bytes.fromhex(charter_digest)).hexdigest()
