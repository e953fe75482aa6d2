"""Adapter files for tests of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from federation.engine import AggregationReport, Method, WeightedUpdate, aggregate
from federation.pairs import Pair
from federation.registry import configured
from federation.strategies import strategies
from federation.tensors import write_adapter
from federation.transforms import NormClip

MODULE = "base_model.model.encoder.query"
HEAD = "base_model.model.classifier.weight"


def adapter(pair: Pair | None = None, **plain: Tensor) -> dict[str, Tensor]:
    """The tensors of an adapter: one LoRA pair, and plain tensors by name ("head" for HEAD)."""
    tensors = {HEAD if name == "head" else name: value for name, value in plain.items()}
    if pair is not None:
        tensors |= {f"{MODULE}.lora_A.weight": pair.a, f"{MODULE}.lora_B.weight": pair.b}
    return tensors


def method(
    strategy: str = "stack_svd",
    *,
    scale: float = 1.0,
    rank: int = 1,
    energy: float = 1.0,
    clip: float | None = None,
    residual_rank: int | None = None,
    **parts: object,
) -> Method:
    """A method with the least to say."""
    return Method(
        strategy=configured(strategies, strategy, energy=energy, residual_rank=residual_rank),
        scale=scale,
        rank=rank,
        clip=NormClip(clip),
        **parts,  # type: ignore[arg-type]
    )


class Workshop:
    """A folder of adapter files, and the engine over them with the least to say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start = folder / "start.safetensors"
        self.target = folder / "target.safetensors"
        self.updates: list[WeightedUpdate] = []

    def begin(self, tensors: Mapping[str, Tensor]) -> None:
        write_adapter(self.start, tensors.items())

    def add(
        self,
        tensors: Mapping[str, Tensor],
        *,
        weight: float = 1.0,
        rank: int = 1,
        is_root: bool = False,
    ) -> str:
        path = self.folder / f"update-{len(self.updates)}.safetensors"
        digest = write_adapter(path, tensors.items())
        self.updates.append(WeightedUpdate(path, weight, rank, digest, is_root=is_root))
        return digest

    def aggregate(self, strategy: str = "stack_svd", **changed: object) -> AggregationReport:
        given: dict[str, object] = {"start": self.start, "updates": self.updates}
        for name in ("start", "updates", "target", "evidence", "state", "state_target"):
            if name in changed:
                given[name] = changed.pop(name)
        given.setdefault("target", self.target)
        return aggregate(method=method(strategy, **changed), **given)  # type: ignore[arg-type]

    def result(self) -> dict[str, Tensor]:
        return load_file(self.target)

    def result_pair(self) -> Pair:
        tensors = self.result()
        return Pair(
            tensors[f"{MODULE}.lora_B.weight"].double(), tensors[f"{MODULE}.lora_A.weight"].double()
        )
