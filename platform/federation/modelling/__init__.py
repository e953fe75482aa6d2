"""A base model with a LoRA adapter over it: make one, train it for a round, measure it.

The functions are found on first use, so that importing this package, its messages or
`adapter_config` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from federation.modelling.config import adapter_config
from federation.modelling.messages import (
    Checkpointing,
    Evaluated,
    Examples,
    ModellingRefused,
    Seat,
    Step,
    Trained,
)

if TYPE_CHECKING:
    from federation.modelling.creation import create_adapter
    from federation.modelling.evaluation import evaluate
    from federation.modelling.merging import merge_adapter
    from federation.modelling.training import train

__all__ = [
    "Checkpointing",
    "Evaluated",
    "Examples",
    "ModellingRefused",
    "Seat",
    "Step",
    "Trained",
    "adapter_config",
    "create_adapter",
    "evaluate",
    "merge_adapter",
    "train",
]

_LAZY = {
    "create_adapter": "creation",
    "evaluate": "evaluation",
    "merge_adapter": "merging",
    "train": "training",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
