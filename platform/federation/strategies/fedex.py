"""Averaged factors, and beside them what the average of the factors misses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from federation.pairs import Pair, Stack, beside, squares
from federation.strategies.base import Combined, Member, strategies
from federation.strategies.truncated import core_svd

_STEPS = 16  # roundings on the way from factors to singular values


@strategies.register("fedex")
@dataclass(frozen=True, slots=True)
class FedEx:
    """Means of A and B, made exact by a residual.

    FedEx-LoRA (Singhal et al. 2024, arXiv:2410.09432):
    Res = Σ pᵢ BᵢAᵢ − B̄Ā = Σ pᵢ (Bᵢ − B̄)(Aᵢ − Ā), of rank (K − 1)·r at most. Every round starts from
    the trained factors, warm, and loses nothing. We differ from the paper in how the residual
    travels: there each participation adds it to its frozen weights and forgets it; here it is a
    pair beside the factors in the state, compressed through its core in every round, so that
    whoever comes later, or holds the base in 4 bits, has it too. It grows from round to round, up
    to the size of the module, unless `residual_rank` bounds it: then what is cut is reported.

    A combination that is no mean has no use for means of factors: the factors stay, and the
    residual takes the whole change.
    """

    averages_factors: ClassVar[bool] = False
    keeps_basis: ClassVar[bool] = True

    residual_rank: int | None = None

    def __post_init__(self) -> None:
        if self.residual_rank is not None and self.residual_rank < 1:
            raise ValueError(f"a residual of rank {self.residual_rank} is none")

    def combine(self, start: Pair, members: Iterable[Member], rank: int) -> Combined:  # noqa: ARG002
        """With D = B − B₀ and E = A − A₀, Res = Σ wᵢ DᵢEᵢ − (Σ wᵢ Dᵢ)(Σ wᵢ Eᵢ), for any weights.

        So it is exactly nothing where nobody moved A, and small numbers are not differences of
        large ones.
        """
        stack, moved = Stack(start.size), Pair(torch.zeros_like(start.b), torch.zeros_like(start.a))
        size = 0.0  # of what is added up, before any of it cancels
        for member in members:
            own = member.start or start
            by = Pair(member.pair.b - own.b, member.pair.a - own.a)
            moved = Pair(moved.b + member.weight * by.b, moved.a + member.weight * by.a)
            apart = Pair(by.b, member.pair.a - start.a)
            stack.add(apart, member.weight)
            size += member.weight * float(apart.b.norm() * apart.a.norm())
            if member.start:
                stack.add(Pair(own.b - start.b, by.a), member.weight)
        stack.add(moved, -1.0)
        pair = Pair(start.b + moved.b, start.a + moved.a)
        return self._combined(pair, _compressed(stack.pair(), size))

    def approximate(self, start: Pair, change: Tensor, rank: int) -> Combined:  # noqa: ARG002
        unit = torch.eye(min(start.size), dtype=change.dtype)
        is_wide = start.size[0] <= start.size[1]
        return self._combined(start, Pair(unit, change) if is_wide else Pair(change, unit))

    def _combined(self, pair: Pair, residual: Pair) -> Combined:
        whole = beside(pair, residual)
        (total,) = squares(whole, torch.ones(whole.rank, dtype=torch.float64))
        return Combined(pair, pair.rank, total, 0.0, 0.0, residual)


def _compressed(pair: Pair, size: float) -> Pair:
    """The same in as few components as it has; in none where nothing is left but rounding."""
    u, singular, v = core_svd(pair, min(pair.size))
    rounding = _STEPS * max(pair.size) * torch.finfo(torch.float64).eps
    root = singular[singular > rounding * size].sqrt()
    return Pair(u[:, : len(root)] * root, v[: len(root)] * root[:, None])
