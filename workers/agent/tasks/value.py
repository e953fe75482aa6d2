"""Measure coalitions of a round on the site's test data; sums over groups of examples leave.

Which coalitions follows from the method, the players and the seed alone. What was measured is kept,
so that a task which makes way for a round, or dies, goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from agent.errors import TaskFailed
from agent.sums import Sums
from agent.tasks.base import Delivery, Work, task_types
from federation.plan import canonical
from federation.protocol import TaskType
from federation.protocol_values import CoalitionLosses, ValuesIn, ValueSpec, ValuesStatement
from federation.registry import UnknownName
from federation.signatures import key_id, public_key_of, sign_bytes
from federation.valuation import Measured, Table, Valuation, ValuationRefused, valuations

if TYPE_CHECKING:
    from federation.modelling import Step

LABEL = "fl-values-v1"


@task_types.register(TaskType.VALUE)
class Value:
    def perform(self, work: Work) -> ValuesIn:
        spec = work.entry.offer.spec
        assert isinstance(spec, ValueSpec)
        began = time.process_time()
        try:
            measured = list(_measured(work, spec))
        except ValuationRefused as refused:
            raise TaskFailed(refused.code, refused.detail) from refused
        return _signed(work, spec, measured, seconds=time.process_time() - began)

    async def upload(self, delivery: Delivery) -> None:
        """The numbers travel in the message itself."""

    async def submit(self, delivery: Delivery) -> None:
        message = ValuesIn.model_validate(delivery.submission)
        await delivery.hub.post(f"{delivery.path}/values", message, key=delivery.key("values"))


def game_of(spec: ValueSpec) -> Valuation:
    """The round's game as the specification has it. Raises TaskFailed for a method of later."""
    try:
        method = valuations[spec.method](**spec.settings)
    except (UnknownName, TypeError) as error:
        raise TaskFailed("method_unknown", "this agent does not know the method") from error
    return Valuation(
        method=method,
        players={player.id: player.weight for player in spec.players},
        seed=spec.seed,
        clusters=tuple(map(frozenset, spec.clusters)),
    )


def _measured(work: Work, spec: ValueSpec) -> Iterator[Measured]:
    """All that the method asks for, what is known already among it."""
    from federation.valuation.coalitions import board_of
    from federation.valuation.measuring import Bench, play
    from federation.valuation.slopes import slopes

    examples = work.examples("test", spec.plan)
    base, stacked = work.fetcher.base(spec.base), work.fetcher.artifact(spec.stacked)
    work.reporter.enter("evaluating")
    game, known = game_of(spec), Sums(work.home, spec, examples.fingerprint())
    with board_of(
        base=base,
        plan=spec.plan,
        stacked=stacked,
        players={player.id: player.updates for player in spec.players},
        device=work.devices[0],
    ) as board:
        course = _Course(work, len(game.wanted(Table.of(()), None)))
        bench = Bench.of(board, examples, owner=None, most=spec.examples, on_step=course.report)
        if game.method.evidence == "slopes":
            yield from slopes(bench)
            return
        found = known.read()
        course.behind = len(found)
        yield from found
        for one in play(game, found, bench):
            known.keep(one)
            course.behind += 1
            yield one


@dataclass(slots=True)
class _Course:
    """How many coalitions are behind us; of those ahead, a sampling method knows only the next."""

    work: Work
    wanted: int
    behind: int = 0

    def report(self, step: Step) -> None:
        parts = max(self.wanted, self.behind + 1)
        self.work.reporter.step("evaluating", step, part=self.behind, parts=parts)


def _signed(work: Work, spec: ValueSpec, measured: list[Measured], *, seconds: float) -> ValuesIn:
    """Sign with the present key, by its own name: it may have been rotated a moment ago."""
    offer, key = work.entry.offer, work.home.private_key()
    losses = tuple(_losses(spec, one) for one in measured)
    said = canonical([one.model_dump(mode="json") for one in losses])
    statement = ValuesStatement(
        federation=offer.federation,
        run=offer.run,
        round=offer.round,
        task=offer.id,
        valuation=spec.valuation,
        stacked_sha256=spec.stacked.sha256,
        counts=tuple(one.count for one in measured[0].bins),
        measured_sha256=sha256(said).hexdigest(),
        key_id=key_id(public_key_of(key)),
        made_at=datetime.now(UTC),
    )
    return ValuesIn(
        fence=offer.fence,
        statement=statement,
        signature=sign_bytes(key, LABEL, canonical(statement.model_dump(mode="json"))),
        measured=losses,
        device_seconds=seconds,
    )


def _losses(spec: ValueSpec, one: Measured) -> CoalitionLosses:
    places = (place for place, player in enumerate(spec.players) if player.id in one.coalition)
    return CoalitionLosses(players=tuple(places), losses=tuple(each.loss for each in one.bins))
