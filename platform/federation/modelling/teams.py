"""Several processes, each with a device of its own, that share one training.

Every micro-batch is split over them, and what they sum is what one process alone would have
summed: apart from rounding and from what is drawn at random, the result is that of one process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Parameter

from federation.modelling.adapting import Adapted
from federation.modelling.examples import Outcome
from federation.modelling.messages import ModellingRefused, Seat
from federation.plan import Plan

_PATIENCE = timedelta(minutes=30)  # for one that loads its part, or writes a checkpoint


class Team(Protocol):
    """What training asks of its process and of those beside it, if there are any."""

    @property
    def size(self) -> int: ...

    @property
    def index(self) -> int: ...

    def laid(self, lay: Callable[[torch.device], Adapted], device: torch.device) -> Adapted:
        """A model with its adapter, on this process's device; `lay` makes one where it is told."""

    def callable(self, model: Adapted) -> Any:
        """What is called to have it answer."""

    def share(self, indices: Sequence[int]) -> tuple[list[int], float]:
        """This process's part of a micro-batch, and the weight of its loss."""

    def apart(self, called: Any, *, last: bool) -> AbstractContextManager[None]:
        """Around a micro-batch, the last of its step or not: gradients may be exchanged after."""

    def total(self, outcome: Outcome, weight: float) -> Outcome:
        """The outcome of the whole micro-batch."""

    def sum(self, value: float) -> float:
        """Of all processes' values."""

    def gathered(self, value: Tensor) -> list[Tensor]:
        """All processes' values, in their order."""

    def agree(self, *, mine: bool) -> bool:
        """Whether any process says so; asked of all of them at once."""


class Alone:
    """One process that does everything."""

    size, index = 1, 0

    def laid(self, lay: Callable[[torch.device], Adapted], device: torch.device) -> Adapted:
        return lay(device)

    def callable(self, model: Adapted) -> Any:
        return model.model

    def share(self, indices: Sequence[int]) -> tuple[list[int], float]:
        return list(indices), 1.0

    def apart(self, called: Any, *, last: bool) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def total(self, outcome: Outcome, weight: float) -> Outcome:  # noqa: ARG002
        return outcome

    def sum(self, value: float) -> float:
        return value

    def gathered(self, value: Tensor) -> list[Tensor]:
        return [value]

    def agree(self, *, mine: bool) -> bool:
        return mine


@dataclass(frozen=True, slots=True)
class Copies:
    """Each process holds the whole model; gradients are averaged before every step."""

    accelerator: Accelerator
    size: int
    index: int

    def laid(self, lay: Callable[[torch.device], Adapted], device: torch.device) -> Adapted:
        return lay(device)

    def callable(self, model: Adapted) -> Any:
        return self.accelerator.prepare_model(model.model)

    def share(self, indices: Sequence[int]) -> tuple[list[int], float]:
        """Every process answers to every micro-batch, if need be to one example that is not its."""
        mine = list(indices[self.index :: self.size])
        return (mine, 1.0) if mine else ([indices[0]], 0.0)

    def apart(self, called: Any, *, last: bool) -> AbstractContextManager[None]:
        return nullcontext() if last else self.accelerator.no_sync(called)

    def total(self, outcome: Outcome, weight: float) -> Outcome:
        facts = (outcome.loss.detach(), outcome.count, outcome.correct or 0)
        mine = torch.tensor(facts, dtype=torch.float64, device=self.accelerator.device) * weight
        loss, count, correct = self.accelerator.reduce(mine, "sum")
        right = None if outcome.correct is None else int(correct)
        return Outcome(loss, int(count), right)

    def sum(self, value: float) -> float:
        mine = torch.tensor(value, dtype=torch.float64, device=self.accelerator.device)
        return float(self.accelerator.reduce(mine, "sum"))

    def gathered(self, value: Tensor) -> list[Tensor]:
        all_of_them = self.accelerator.gather(value.to(self.accelerator.device)[None])
        return [one.cpu() for one in all_of_them]

    def agree(self, *, mine: bool) -> bool:
        if mine:
            self.accelerator.set_trigger()
        return bool(self.accelerator.check_trigger())


@dataclass(frozen=True, slots=True)
class Shards(Copies):
    """Each process holds a part of every layer, and gathers a layer when its turn comes.

    torch's `fully_shard` itself: accelerate's plug-in leaves it out on processors without a word,
    and this way a test of it needs no card.
    """

    def laid(self, lay: Callable[[torch.device], Adapted], device: torch.device) -> Adapted:
        """Load on the processor and cut, one process after the other: one whole model at a time."""
        mesh = init_device_mesh(device.type, (self.size,))
        model: Adapted | None = None
        for turn in range(self.size):
            if turn == self.index:
                model = _cut(lay(torch.device("cpu")), mesh, device)
            self.accelerator.wait_for_everyone()
        assert model
        return model

    def callable(self, model: Adapted) -> Any:
        return model.model

    def apart(self, called: Any, *, last: bool) -> AbstractContextManager[None]:  # noqa: ARG002
        """Whole gradients would be kept in the meantime, so they are always exchanged."""
        return nullcontext()


def team_of(seat: Seat | None, plan: Plan, device: torch.device) -> Team:
    """The team that this process belongs to; it meets the others here, and waits for them.

    They stay together until their processes end: to part sooner hangs once in a while.
    Raises `ModellingRefused`.
    """
    if seat is None:
        return Alone()
    if seat.is_sharded and plan.training.base_weights == "nf4":
        raise ModellingRefused(
            "sharding_unsupported", "a base in 4 bits cannot be spread over several devices"
        )
    if not distributed.is_initialized():
        _meet(seat, device)
    # Adapters may have weights that a loss does not reach.
    copies = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[copies])
    return (Shards if seat.is_sharded else Copies)(accelerator, seat.size, seat.index)


def _meet(seat: Seat, device: torch.device) -> None:
    os.environ.update(_environment(seat, device))
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{seat.meeting}",
        rank=seat.index,
        world_size=seat.size,
        timeout=_PATIENCE,
    )


def _environment(seat: Seat, device: torch.device) -> dict[str, str]:
    """What accelerate wants to be told; and that only this machine is talked to."""
    inside = "lo" if sys.platform == "linux" else "lo0"
    index, size = str(seat.index), str(seat.size)
    return {
        "RANK": index,
        "LOCAL_RANK": index if device.index is None else str(device.index),
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
        "GLOO_SOCKET_IFNAME": inside,
        "NCCL_SOCKET_IFNAME": inside,
    }


def whole(tensor: Tensor) -> Tensor:
    """A tensor as one process alone would hold it; asked of all processes at once."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def parted(value: Tensor, like: Tensor) -> Tensor:
    """The opposite: of a whole value the part that `like` is of its own."""
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    placed = value.to(like.device)
    return distribute_tensor(placed, like.device_mesh, like.placements)


def _cut(model: Adapted, mesh: Any, device: torch.device) -> Adapted:
    """Cut layer by layer, so that only one layer is on the device as a whole."""
    places = _places(model)
    layers = set(getattr(model.model.get_base_model(), "_no_split_modules", None) or ())
    try:
        for module in list(model.model.modules()):
            if type(module).__name__ in layers:
                fully_shard(module, mesh=mesh)
        fully_shard(model.model, mesh=mesh)
    except (ValueError, NotImplementedError) as error:
        raise ModellingRefused(
            "sharding_unsupported", "the model cannot be spread over several devices"
        ) from error
    cut = dict(model.model.named_parameters())
    parameters = {name: cut[place] for name, place in places.items()}
    return replace(model, parameters=parameters, device=device)


def _places(model: Adapted) -> Mapping[str, str]:
    """Where in the model each of the adapter's parameters is: cutting puts others there."""
    names: dict[Parameter, str] = {p: name for name, p in model.model.named_parameters()}
    return {name: names[parameter] for name, parameter in model.parameters.items()}
