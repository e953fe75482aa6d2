"""Models of coalitions, made by masking blocks of a round's stacked adapter.

The stack has every update's change of the model, times its fixed weight. Of LoRA pairs a coalition
is a choice of components: the rows of A that belong to others are set to zero. All other tensors
are the start's with the members' changes added. So it is the same rule whatever the round's
strategy makes of the updates, and an update that changes nothing changes no bit of any coalition:
every product has the same shape in all of them, and what is masked adds zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter

from federation.cohort import WeightedUpdate
from federation.layout import A_SUFFIX, Chosen, everything, lora_factor
from federation.modelling.adapting import Adapted, adapted
from federation.modelling.loading import Base, device_for, forked_random, kept_base
from federation.plan import Aggregation, Lora, Plan
from federation.stacked import CHANGE, START, Share, shares_of, write_stacked
from federation.tensors import TensorFile, blocks_of
from federation.valuation.games import Coalition
from federation.valuation.weights import fixed_weights


def weights_of(updates: Sequence[WeightedUpdate]) -> dict[str, float]:
    """The weights pᵢ of a game, by digest, whatever the rule judged."""
    weights = fixed_weights([one.weight for one in updates], [one.norm for one in updates])
    return {update.digest: weight for update, weight in zip(updates, weights, strict=True)}


def write_game(
    *, start: Path, updates: Sequence[WeightedUpdate], target: Path, travels: Chosen = everything
) -> str:
    """Write the stack that a round's game is played on; returns its SHA-256.

    It knows the start, the updates and their weights, and nothing of the round's result. Raises
    AggregationRefused where an update does not fit the start.
    """
    weights = weights_of(updates)
    return write_stacked(
        start=start, updates=updates, weights=weights, target=target, travels=travels
    )


@dataclass(frozen=True, slots=True)
class Board:
    """A base model with a round's stack over it, on which any coalition can be set up.

    `places`: the numbers of each player's shares in the stack; mostly one.
    """

    model: Adapted
    file: TensorFile
    shares: Sequence[Share]
    places: Mapping[str, Sequence[int]]
    plan: Plan

    @torch.no_grad()
    def set_up(self, coalition: Coalition) -> None:
        """Have the model be this coalition's. KeyError for somebody who does not play."""
        members = {place for player in coalition for place in self.places[player]}
        mask = self._mask(members)
        for name, parameter in self.model.parameters.items():
            if name.endswith(A_SUFFIX):
                masked = self.file.tensor(name).flatten(1) * mask
                parameter.copy_(masked.reshape(parameter.shape))
            elif lora_factor(name) is None:
                self._fill(name, parameter, sorted(members))

    @torch.no_grad()
    def lay(self) -> None:
        """Put in place what all coalitions have in common."""
        for name, parameter in self.model.parameters.items():
            if lora_factor(name) == "B":
                parameter.copy_(self.file.tensor(name))

    def _mask(self, members: set[int]) -> Tensor:
        """A column of ones for the components of the start and the members, of zeros else."""
        mask = torch.ones(self.shares[-1].last, 1)
        for place, share in enumerate(self.shares):
            if place not in members:
                mask[share.first : share.last] = 0.0
        return mask

    def _fill(self, name: str, parameter: Parameter, members: Sequence[int]) -> None:
        """The start's values and the members' changes, always added up in the same order."""
        values = parameter.detach().view(-1)
        for first, last in blocks_of(len(values)):
            total = self.file.values(START + name, first, last).double()
            for place in members:
                total += self.file.values(f"{CHANGE}{place}.{name}", first, last)
            values[first:last] = total.float().to(values.device)


@contextmanager
def board_of(
    *,
    base: Path,
    plan: Plan,
    stacked: Path,
    players: Mapping[str, Sequence[str]],
    device: str = "auto",
) -> Iterator[Board]:
    """Lay a round's stack over the base. `players`: the digests of each one's updates.

    Raises ModellingRefused, LayoutRefused where the file is no stack, and KeyError where it has no
    such update.
    """
    chosen = device_for(plan, device)
    with TensorFile(stacked) as file, forked_random(chosen):
        shares = shares_of(file.layout)
        numbers = {share.digest: number for number, share in enumerate(shares)}
        places = {player: [numbers[one] for one in own] for player, own in players.items()}
        kept = kept_base(base, plan, chosen)
        model = adapted(kept, plain(plan), rank=shares[-1].last or plan.adapter.rank)
        board = Board(model, file, shares, places, plan)
        board.lay()
        try:
            yield board
        finally:
            _lay_aside(kept)


def _lay_aside(base: Base) -> None:
    """A base is kept for the next round, whose stack has another width: let none pile up."""
    name = base.peft.active_adapter
    others = [other for other in base.peft.peft_config if other != name]
    if others:  # peft cannot be left without any
        base.peft.set_adapter(others[0])
        base.peft.delete_adapter(name)


def plain(plan: Plan) -> Plan:
    """The plan with nothing beside plain pairs: a stack has middles and residuals worked in."""
    if not isinstance(plan.adapter, Lora):
        return plan
    return plan.model_copy(update={"aggregation": Aggregation(strategy="stack_svd")})
