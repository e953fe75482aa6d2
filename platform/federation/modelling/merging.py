"""A base model with an adapter worked into its weights, for programs that know no adapters.

The base's files are walked tensor by tensor: what the adapter leaves alone is copied as it is, the
rest is computed in fp32 and written in the base's own dtype. Memory holds one changed tensor. The
shards and their order are the base's, so equal inputs give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from federation.layout import BASE_ITEM_BYTES, Shape, header_of
from federation.modelling.deltas import Change, changes_by
from federation.modelling.messages import ModellingRefused
from federation.modelling.skeletons import CONFIG, INDEX, Skeleton, skeleton_of
from federation.plan import Plan
from federation.plan_tasks import Labelled
from federation.tensors import DTYPES, TensorFile

_BLOCK_BYTES = 1 << 20
_MATRIX = 2  # dimensions


def merge_adapter(
    *, base: Path, adapter: Path, config: Mapping[str, Any], plan: Plan, target: Path
) -> dict[str, str]:
    """Write the merged model's weights and configuration into `target`, an empty folder.

    `adapter` and its `config` are as published. Returns {path: sha256} of what was written; what
    else the base has belongs to the merged model as it is. Raises `ModellingRefused`.
    """
    with TensorFile(adapter) as file:
        skeleton = skeleton_of(base, plan)
        changes = changes_by(file, config)
        parts = _parts(skeleton, changes)
        written = {path: _write(skeleton, held, path, target) for path, held in parts.items()}
    if skeleton.is_sharded:
        written[INDEX] = _write_json(target / INDEX, _index(parts))
    is_untied = bool(_untied(skeleton, changes))
    written[CONFIG] = _write_json(target / CONFIG, _config(skeleton, plan, is_untied=is_untied))
    return written


@dataclass(frozen=True, slots=True)
class _Part:
    """One tensor of the result: what lies in the base, and what becomes of it."""

    dtype: str
    shape: Shape
    origin: tuple[str, str] | None = None  # file and name in the base
    change: Change | None = None
    is_transposed: bool = False

    @property
    def size_bytes(self) -> int:
        return prod(self.shape) * BASE_ITEM_BYTES[self.dtype]


Parts = Mapping[str, dict[str, _Part]]  # by file and name, in the order in which they lie


def _parts(skeleton: Skeleton, changes: Mapping[str, Change]) -> Parts:
    found = {
        path: {n: _Part(info.dtype, info.shape, (path, n)) for n, info in layout.tensors.items()}
        for path, layout in skeleton.files.items()
    }
    known = skeleton.model.state_dict()
    untied = _untied(skeleton, changes)
    for name in sorted({*changes, *untied}):
        if name in known:  # else the bias of a layer that has none
            path, own = skeleton.places.get(name, (max(found), name))
            found[path][own] = _part(skeleton, name, untied.get(name, name), changes.get(name))
    return found


def _part(skeleton: Skeleton, name: str, source: str, change: Change | None) -> _Part:
    """Of a parameter whose values come from `source`, itself or the one it was tied to."""
    if change and change.shape:
        return _Part(skeleton.dtype, change.shape, None, change)
    origin = skeleton.places.get(name) or skeleton.places.get(source)
    if origin is None:
        raise ModellingRefused("not_mergeable", f"the base keeps {name} in pieces")
    info = skeleton.files[origin[0]].tensors[origin[1]]
    if change and info.dtype not in DTYPES:
        raise ModellingRefused("not_mergeable", f"{name} is of {info.dtype} in the base")
    is_transposed = len(info.shape) == _MATRIX and skeleton.lies_transposed(name)
    return _Part(info.dtype, info.shape, origin, change, is_transposed)


def _untied(skeleton: Skeleton, changes: Mapping[str, Change]) -> dict[str, str]:
    """Ties that the adapter undoes: peft changes one end, or both each in its way."""
    ties = skeleton.ties.items()
    is_touched = any(end in changes for tie in ties for end in tie)
    return dict(ties) if is_touched else {}


def _write(skeleton: Skeleton, parts: Mapping[str, _Part], path: str, target: Path) -> str:
    metadata = {"format": "pt", **skeleton.files[path].metadata}
    shapes = {name: (part.dtype, part.shape) for name, part in parts.items()}
    header = header_of(shapes, metadata, BASE_ITEM_BYTES)
    file, digest = target / path, hashlib.sha256(header)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        out.write(header)
        for part in parts.values():
            for data in _bytes_of(skeleton, part):
                digest.update(data)
                out.write(data)
    return digest.hexdigest()


def _bytes_of(skeleton: Skeleton, part: _Part) -> Iterator[bytes | memoryview]:
    if part.change is None:
        assert part.origin is not None
        yield from _copied(skeleton, *part.origin)
        return
    values = part.change.apply(_base_values(skeleton, part)).to(DTYPES[part.dtype])
    values = values.T if part.is_transposed else values
    yield values.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _base_values(skeleton: Skeleton, part: _Part) -> Tensor:
    """In fp32, a matrix as (out, in); empty where the change needs none."""
    if part.origin is None:
        return torch.empty(0)
    path, name = part.origin
    with TensorFile(skeleton.folder / path, skeleton.files[path]) as file:
        values = file.tensor(name).float()
    if part.is_transposed:
        return values.T.contiguous()
    return values.flatten(1) if values.dim() > 1 else values


def _copied(skeleton: Skeleton, path: str, name: str) -> Iterator[bytes]:
    layout = skeleton.files[path]
    info = layout.tensors[name]
    left = info.end - info.begin
    with (skeleton.folder / path).open("rb") as file:
        file.seek(layout.data_start + info.begin)
        while left and (data := file.read(min(_BLOCK_BYTES, left))):
            left -= len(data)
            yield data
    if left:
        raise ModellingRefused("base_unreadable", f"{path} ended while it was read")


def _index(parts: Parts) -> dict[str, Any]:
    total = sum(part.size_bytes for held in parts.values() for part in held.values())
    weight_map = {name: path for path, held in parts.items() for name in held}
    return {"metadata": {"total_size": total}, "weight_map": weight_map}


def _config(skeleton: Skeleton, plan: Plan, *, is_untied: bool) -> dict[str, Any]:
    """The base's, with the head's class and labels."""
    found: dict[str, Any] = json.loads((skeleton.folder / CONFIG).read_bytes())
    found["architectures"] = [type(skeleton.model).__name__]
    if isinstance(plan.task, Labelled):
        found["id2label"] = {str(number): label for number, label in enumerate(plan.task.labels)}
        found["label2id"] = {label: number for number, label in enumerate(plan.task.labels)}
    if is_untied:
        found["tie_word_embeddings"] = False
    return found


def _write_json(path: Path, value: Mapping[str, Any]) -> str:
    data = (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
