"""Server optimisers: how far the model moves along the combined change of a round.

The combined change is taken for a pseudo-gradient: Reddi et al. 2020, arXiv:2003.00295. An
optimiser is a frozen dataclass whose fields are its hyperparameters; what it remembers between
rounds is handed in and out. A new one is one file and one import here.
"""

from federation.optimisers import diloco, fedadagrad, fedadam, fedavgm, fedyogi, none, scaffold
from federation.optimisers.base import LinearOptimiser, Optimiser, State, optimisers
from federation.optimisers.none import NoOptimiser
from federation.optimisers.scaffold import Scaffold

__all__ = [
    "LinearOptimiser",
    "NoOptimiser",
    "Optimiser",
    "Scaffold",
    "State",
    "diloco",
    "fedadagrad",
    "fedadam",
    "fedavgm",
    "fedyogi",
    "none",
    "optimisers",
    "scaffold",
]
