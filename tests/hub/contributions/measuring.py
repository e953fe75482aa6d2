"""An organisation's agent that measures coalitions on its own test data, and says so."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from agent.tasks.value import LABEL, game_of
from federation.modelling import Examples
from federation.plan import canonical
from federation.protocol import TaskOffer
from federation.protocol_values import CoalitionLosses, ValuesIn, ValueSpec, ValuesStatement
from federation.signatures import sign_bytes
from federation.valuation.coalitions import board_of
from federation.valuation.measuring import Bench, play
from hub.catalogue.blobs.storage import store
from tests.hub.runs.probed import ProbedWorld, texts
from tests.hub.runs.world import Site

Losses = dict[tuple[int, ...], tuple[int, ...]]


def measured_at(world: ProbedWorld, site: Site, offer: TaskOffer) -> tuple[Losses, tuple[int, ...]]:
    """Losses by coalition, and the counts of the bins."""
    spec = offer.spec
    assert isinstance(spec, ValueSpec)
    examples: Examples = texts(100 + world.sites.index(site))
    with board_of(
        base=world.base,
        plan=spec.plan,
        stacked=store().local_path(spec.stacked.sha256),
        players={player.id: player.updates for player in spec.players},
        device="cpu",
    ) as board:
        bench = Bench.of(board, examples, owner=None, most=spec.examples, on_step=lambda _: None)
        found = list(play(game_of(spec), [], bench))
    ids = [player.id for player in spec.players]
    losses = {
        tuple(sorted(ids.index(one) for one in each.coalition)): tuple(b.loss for b in each.bins)
        for each in found
    }
    return losses, tuple(one.count for one in found[0].bins)


def said(
    site: Site, offer: TaskOffer, losses: Losses, counts: tuple[int, ...], **changes: object
) -> ValuesIn:
    """The signed message."""
    spec = offer.spec
    assert isinstance(spec, ValueSpec)
    measured = tuple(
        CoalitionLosses(players=places, losses=sums) for places, sums in losses.items()
    )
    document = [one.model_dump(mode="json") for one in measured]
    facts = {
        "federation": offer.federation,
        "run": offer.run,
        "round": offer.round,
        "task": offer.id,
        "valuation": spec.valuation,
        "stacked_sha256": spec.stacked.sha256,
        "counts": counts,
        "measured_sha256": sha256(canonical(document)).hexdigest(),
        "key_id": site.agent.key_id,
        "made_at": datetime.now(UTC),
        **changes,
    }
    statement = ValuesStatement(**facts)
    payload = canonical(statement.model_dump(mode="json"))
    return ValuesIn(
        fence=offer.fence,
        statement=statement,
        signature=sign_bytes(site.private_key, LABEL, payload),
        measured=measured,
        device_seconds=1.0,
    )
