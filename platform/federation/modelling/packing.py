"""Several texts in one row of a batch, each blind to the others.

Texts of a row are kept apart by a block-diagonal mask and by positions that begin anew, so the
losses are those of the texts alone.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from inspect import signature

import torch
from torch import Tensor

from federation.modelling.adapting import Adapted
from federation.modelling.collating import padded
from federation.modelling.examples import IGNORED, Batch, Example
from federation.modelling.messages import ModellingRefused


def packed(examples: Sequence[Example], limit: int) -> list[Example]:
    """Best fit, the longest first: each text goes into the fullest row that still has room."""
    rows: list[list[Example]] = []
    rooms: list[tuple[int, int]] = []  # what is free in which row
    for example in sorted(examples, key=lambda one: -len(one.ids)):
        place = bisect_left(rooms, (len(example.ids), -1))
        room, row = rooms.pop(place) if place < len(rooms) else (limit, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(example)
        insort(rooms, (room - len(example.ids), row))
    return [_joined(row) for row in rows]


def _joined(row: Sequence[Example]) -> Example:
    """Nothing predicts the first token of a text, not even the last one of its neighbour."""
    return Example(
        ids=[token for one in row for token in one.ids],
        targets=[target for one in row for target in [IGNORED, *one.targets[1:]]],
        terms=sum(one.terms for one in row),
        lengths=tuple(len(one.ids) for one in row),
    )


def require_positions(model: Adapted) -> None:
    """Raises `ModellingRefused` for a model that counts positions for itself."""
    if "position_ids" not in signature(model.model.get_base_model().forward).parameters:
        raise ModellingRefused(
            "packing_unsupported", "the base model cannot be told where each text begins"
        )


def collate_packed(examples: Sequence[Example], *, pad: int, device: torch.device) -> Batch:
    """attention_mask: (rows, 1, tokens, tokens), added to the scores."""
    ids = padded([one.ids for one in examples], pad)
    owners = padded([_owners(one) for one in examples], -1)
    positions = padded([[p for n in one.lengths for p in range(n)] for one in examples], 0)
    targets = padded([one.targets for one in examples], IGNORED)
    inputs = {"input_ids": ids, "attention_mask": _blocks(owners), "position_ids": positions}
    return Batch({name: value.to(device) for name, value in inputs.items()}, targets.to(device))


def _owners(example: Example) -> list[int]:
    """For each token, which text of the row it belongs to."""
    return [owner for owner, length in enumerate(example.lengths) for _ in range(length)]


def _blocks(owners: Tensor) -> Tensor:
    """Each token sees those before it in its own text; padding sees padding, so no row is blind."""
    same = owners[:, None, :, None] == owners[:, None, None, :]
    return torch.zeros(same.shape).masked_fill(~same.tril(), float("-inf"))
