"""Residuals of a state: second pairs that are added to layers and never trained.

They are computed beside the base, not folded into it: a base in 4 bits has no place for them, and
one that is kept gives the same bytes for whichever run comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import linear

from federation.layout import RESIDUAL_A, RESIDUAL_B
from federation.modelling.loading import Base
from federation.modelling.messages import ModellingRefused
from federation.modelling.middles import linear_layers


class Residual:
    """Adds s·B·A·x to what a layer answers."""

    def __init__(self, b: Tensor, a: Tensor, scale: float) -> None:
        self._b, self._a, self._scale = b, a, scale

    def __call__(self, layer: Any, given: tuple[Any, ...], answer: Tensor) -> Tensor:  # noqa: ARG002
        x = given[0]
        if self._a.device != x.device:  # layers are moved when several devices share them
            self._b, self._a = self._b.to(x.device), self._a.to(x.device)
        more = linear(linear(x.to(self._a.dtype), self._a), self._b)
        return answer + (more * self._scale).to(answer.dtype)


def take_residuals_off(base: Base) -> None:
    """Those that an earlier use of the base has put there."""
    for hook in base.beside:
        hook.remove()
    base.beside.clear()


def lay_residuals(base: Base, adapter: str, values: Mapping[str, Tensor]) -> None:
    """Put residuals beside the layers of an adapter.

    Raises `ModellingRefused` where one has no layer, or a layer could have none.
    """
    layers = linear_layers(base.peft, adapter)
    for name in sorted(values):
        if not name.endswith(RESIDUAL_A):
            continue
        module = name.removesuffix(RESIDUAL_A)
        b, layer = values.get(module + RESIDUAL_B), layers.get(module)
        if b is None or layer is None:
            raise ModellingRefused("adapter_mismatch", f"{name} is not in both model and file")
        own_b, own_a = (one.to(base.device, copy=True) for one in (b, values[name]))  # not the map
        residual = Residual(own_b, own_a, layer.scaling[adapter])
        base.beside.append(layer.register_forward_hook(residual))
