"""The losses of coalitions' models on one owner's examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from federation.modelling.batches import batches_by_length, encode
from federation.modelling.examples import Example
from federation.modelling.kinds import kind_of
from federation.modelling.messages import Examples, OnStep
from federation.modelling.objectives import answers
from federation.modelling.progress import Progress, tokens_of
from federation.valuation.binning import binned
from federation.valuation.coalitions import Board
from federation.valuation.games import Coalition, Measured, Table
from federation.valuation.valuing import Valuation


@dataclass(frozen=True, slots=True)
class Bench:
    """An owner's examples, encoded once, beside the board that is measured on them.

    `on_step` is called before every batch; what it raises ends the measurement. No owner: a
    public probe.
    """

    board: Board
    owner: str | None
    encoded: Sequence[Example]
    on_step: OnStep

    @classmethod
    def of(
        cls, board: Board, examples: Examples, *, owner: str | None, most: int, on_step: OnStep
    ) -> Bench:
        """All examples, or `most` spread evenly over them. Raises ModellingRefused."""
        encoded = encode(examples, board.plan, board.model.processor)
        return cls(board, owner, _spread(encoded, most), on_step)

    @torch.inference_mode()
    def measured(self, coalition: Coalition) -> Measured:
        """The losses of a coalition's model, in bins. Raises ValuationRefused for few examples."""
        board, plan = self.board, self.board.plan
        board.set_up(coalition)
        board.model.model.eval()
        losses, counts = [0.0] * len(self.encoded), [0] * len(self.encoded)
        kind, dice = kind_of(plan), torch.Generator().manual_seed(plan.seed)
        for indices, given in self.batches(range(len(self.encoded))):
            batch = kind.batch(given, board.model, plan, dice)
            found = answers(board.model.model, batch, plan)
            told = zip(indices, found.losses.tolist(), found.terms.tolist(), strict=True)
            for place, loss, count in told:
                losses[place], counts[place] = loss, count
        return Measured(coalition, self.owner, binned(losses, counts))

    def batches(self, places: Sequence[int]) -> Iterator[tuple[list[int], list[Example]]]:
        """The examples at these places in batches of similar length, each with its places."""
        chosen = [self.encoded[place] for place in places]
        batches = batches_by_length(chosen, self.board.plan.training.batch_size)
        progress = Progress(steps=len(batches), device=self.board.model.device)
        for indices in batches:
            self.on_step(progress.report(loss=None))
            given = [chosen[one] for one in indices]
            yield [places[one] for one in indices], given
            progress.step += 1
            progress.examples += len(given)
            progress.tokens += tokens_of(given)


def play(valuation: Valuation, known: Iterable[Measured], bench: Bench) -> Iterator[Measured]:
    """Measure all that is wanted of an owner's game and not known yet, one coalition at a time."""
    found = list(known)
    while wanted := valuation.wanted(Table.of(found), bench.owner):
        for coalition in wanted:
            found.append(bench.measured(coalition))
            yield found[-1]


def _spread(encoded: Sequence[Example], most: int) -> Sequence[Example]:
    if len(encoded) <= most:
        return encoded
    return [encoded[place * len(encoded) // most] for place in range(most)]
