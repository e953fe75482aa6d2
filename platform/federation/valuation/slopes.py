"""What the gradient at the start of a round foretells of each player's change."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, isfinite

import torch
from torch import Tensor
from torch.nn import Parameter

from federation.layout import A_SUFFIX, lora_factor
from federation.modelling.kinds import kind_of
from federation.modelling.objectives import outcome
from federation.stacked import CHANGE
from federation.valuation.binning import MOST_LOSS, places_of
from federation.valuation.coalitions import Board
from federation.valuation.games import MILLIONTHS, NOBODY, Bin, Measured
from federation.valuation.measuring import Bench


def slopes(bench: Bench) -> list[Measured]:
    """What gradient_alignment asks for: L + ⟨∇L, pᵢ ΔWᵢ⟩ of each bin, and L itself of nobody.

    The stack is masked altogether. How the loss moves as a player's mask opens is its gradient in
    the rows of A that are the player's, times what they are when it is open. One pass forwards
    and one backwards over the examples, whatever the number of players.
    """
    board = bench.board
    board.set_up(NOBODY)
    board.model.model.eval()
    moving = {name: one for name, one in board.model.parameters.items() if _moves(name)}
    for name, parameter in board.model.parameters.items():
        parameter.requires_grad_(name in moving)
    players = sorted(board.places)
    found: dict[str | None, list[Bin]] = {player: [] for player in (None, *players)}
    for places in places_of(len(bench.encoded)):
        loss, count = _backward(bench, places, moving)
        by_share = _along(board, moving)
        found[None].append(_bin(loss, count))
        for player in players:
            own = fsum(by_share[place] for place in board.places[player])
            found[player].append(_bin(loss + own, count))
    board.model.model.zero_grad(set_to_none=True)
    return [
        Measured(frozenset({player}) if player else NOBODY, bench.owner, tuple(bins))
        for player, bins in found.items()
    ]


def _moves(name: str) -> bool:
    return name.endswith(A_SUFFIX) or lora_factor(name) is None


def _backward(
    bench: Bench, places: Sequence[int], moving: dict[str, Parameter]
) -> tuple[float, int]:
    """Loss and count of a bin; its gradient is left in the parameters."""
    board, plan = bench.board, bench.board.plan
    kind, dice = kind_of(plan), torch.Generator().manual_seed(plan.seed)
    for parameter in moving.values():
        parameter.grad = None
    loss, count = 0.0, 0
    for _, given in bench.batches(places):
        found = outcome(board.model.model, kind.batch(given, board.model, plan, dice), plan)
        found.loss.backward()  # type: ignore[no-untyped-call]
        loss, count = loss + float(found.loss.detach()), count + found.count
    return loss, count


@torch.no_grad()
def _along(board: Board, moving: dict[str, Parameter]) -> list[float]:
    """⟨∇L, pᵢ ΔWᵢ⟩ of every share of the stack."""
    total = torch.zeros(len(board.shares), dtype=torch.float64)
    for name, parameter in moving.items():
        if parameter.grad is None:
            continue
        slope = parameter.grad.detach().cpu().double().flatten(1 if name.endswith(A_SUFFIX) else 0)
        total += _of_rows(board, name, slope) if slope.dim() > 1 else _of_plain(board, name, slope)
    return [float(one) for one in total]


def _of_rows(board: Board, name: str, slope: Tensor) -> Tensor:
    rows = (slope * board.file.tensor(name).flatten(1)).sum(1)
    return torch.stack([rows[share.first : share.last].sum() for share in board.shares])


def _of_plain(board: Board, name: str, slope: Tensor) -> Tensor:
    changes = (board.file.tensor(f"{CHANGE}{n}.{name}") for n in range(len(board.shares)))
    return torch.stack([slope @ change.double().flatten() for change in changes])


def _bin(loss: float, count: int) -> Bin:
    tamed = max(-MOST_LOSS, min(MOST_LOSS, loss)) if isfinite(loss) else MOST_LOSS
    return Bin(round(tamed * MILLIONTHS), count)
