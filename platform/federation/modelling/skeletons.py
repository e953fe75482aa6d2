"""A base model without its weights: what its parameters are called, and where they lie.

The names in a file need not be the model's own: older ones are renamed on loading, a bare encoder
lacks the prefix that a model with a head gives it. Here the same rules are asked that load it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.pytorch_utils import Conv1D

from federation.layout import BASE_ITEM_BYTES, ITEM_BYTES, Layout, read_layout
from federation.modelling.messages import ModellingRefused
from federation.plan import Plan
from federation.plan_tasks import Labelled

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Skeleton:
    """`files` with weights by path; `places` are (path, name in the file) by parameter.

    `ties` tells of parameters that share their values with another: {parameter: that other}.
    """

    folder: Path
    model: Any
    files: Mapping[str, Layout]
    places: Mapping[str, tuple[str, str]]
    ties: Mapping[str, str]

    @property
    def is_sharded(self) -> bool:
        return (self.folder / INDEX).exists()

    @property
    def dtype(self) -> str:
        """The one in which most of the weights lie."""
        values: Counter[str] = Counter()
        for layout in self.files.values():
            for info in layout.tensors.values():
                values[info.dtype] += prod(info.shape) * (info.dtype in ITEM_BYTES)
        return values.most_common(1)[0][0]

    def lies_transposed(self, parameter: str) -> bool:
        """Whether a matrix is kept as (in, out)."""
        return isinstance(self.model.get_submodule(parameter.rpartition(".")[0]), Conv1D)


def skeleton_of(folder: Path, plan: Plan) -> Skeleton:
    """For the plan's task. Raises `ModellingRefused`."""
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        if isinstance(plan.task, Labelled):
            config.num_labels = len(plan.task.labels)
        with torch.device("meta"):
            model = getattr(transformers, plan.task.model_class).from_config(config)
        files = {path: read_layout(folder / path, BASE_ITEM_BYTES) for path in _paths(folder)}
    except (OSError, ValueError, KeyError) as error:
        raise ModellingRefused("base_unreadable", str(error)[:300]) from error
    is_tied = getattr(config, "tie_word_embeddings", False)
    ties = model.all_tied_weights_keys if is_tied else {}
    return Skeleton(folder, model, files, _places(files, model), dict(ties))


def _paths(folder: Path) -> list[str]:
    if not (folder / INDEX).exists():
        return [WEIGHTS]
    return sorted(set(json.loads((folder / INDEX).read_bytes())["weight_map"].values()))


def _places(files: Mapping[str, Layout], model: Any) -> dict[str, tuple[str, str]]:
    """Parameters that are made of several tensors have no place of their own."""
    rules = get_model_conversion_mapping(model)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    known = model.state_dict()
    found = {}
    for path, layout in files.items():
        for key in layout.tensors:
            name, made_of = rename_source_key(
                key, renamings, converters, model.base_model_prefix, known
            )
            if name not in known and key in known:
                name = key
            if made_of is None and name in known:
                found[name] = (path, key)
    return found
