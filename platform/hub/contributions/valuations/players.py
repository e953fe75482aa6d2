"""Who takes part in a round's game, with which weight, and from which seed orders are drawn.

All of it follows from what was frozen when the round closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from math import fsum
from typing import Any

from federation.plan import canonical
from federation.valuation import seed_of
from federation.valuation.weights import fixed_weights
from hub.contributions.valuations.clusters import clusters_in
from hub.federations.charters.selectors import charter_digest_at
from hub.runs.models import Round, Update
from hub.runs.services.rounds import counted_updates
from hub.runs.services.weights import is_root, weight_of


def playing_updates(current: Round) -> list[Update]:
    """The updates that are in the round's result, by their digests; the root's only judges."""
    plan = current.run.typed_plan
    return [update for update in counted_updates(current) if not is_root(update, plan)]


def players_of(current: Round) -> list[dict[str, Any]]:
    """Who took part, sorted by the participation's id: {"id", "weight", "updates"}.

    The weight is the share of the examples, no further than the median went (`fixed_weights`),
    whatever the round's rule made of it. Of somebody with two updates, a late one among them, it is
    that of both.
    """
    updates, plan = playing_updates(current), current.run.typed_plan
    counts = [weight_of(update, plan) for update in updates]
    weights = fixed_weights(counts, [update.norm for update in updates])
    shares = {one.artifact_id: weight for one, weight in zip(updates, weights, strict=True)}
    found: dict[str, list[str]] = {}
    for update in updates:
        found.setdefault(str(update.participation_id), []).append(update.artifact_id)
    return [
        {"id": player, "weight": fsum(shares[one] for one in own), "updates": sorted(own)}
        for player, own in sorted(found.items())
    ]


def round_digest(current: Round, updates: Sequence[str]) -> str:
    """SHA-256 of what was frozen of a round: its plan, number, start, and the updates' digests."""
    frozen = {
        "plan": current.run.plan_digest,
        "round": current.number,
        "start": current.start_id,
        "updates": sorted(updates),
    }
    return sha256(canonical(frozen)).hexdigest()


def seed_for(current: Round, players: Sequence[dict[str, Any]]) -> str:
    """Nobody's to choose: it follows from the round and the charter."""
    updates = [digest for player in players for digest in player["updates"]]
    return seed_of(round_digest(current, updates), charter_digest_of(current))


def charter_digest_of(current: Round) -> str:
    """Of the charter under which the round opened, whatever has come into force since."""
    return charter_digest_at(current.run.federation, current.created_at)


def clusters_for(current: Round, players: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Which of the players brought the same, as far as a case says so."""
    present = {player["id"] for player in players}
    together = ([str(one) for one in each] for each in clusters_in(current.run))
    kept = (sorted(present.intersection(each)) for each in together)
    return sorted(each for each in kept if len(each) > 1)
