"""What a model can be taught, by the types of the plan's task.

A new type is a part in `federation.plan_tasks`, and one file here.
"""

from federation.modelling.kinds import (
    causal,
    chat,
    images,
    masked,
    sequences,
)
from federation.modelling.kinds.base import Kind, kind_of, kinds

__all__ = [
    "Kind",
    "causal",
    "chat",
    "images",
    "kind_of",
    "kinds",
    "masked",
    "sequences",
]
