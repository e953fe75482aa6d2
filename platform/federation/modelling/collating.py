"""Examples as padded tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from federation.modelling.examples import IGNORED, Batch, Example


def collate(examples: Sequence[Example], *, pad: int, device: torch.device) -> Batch:
    """Token ids, padded on the right, and a mask of what is no padding."""
    ids = padded([example.ids for example in examples], pad)
    mask = padded([[1] * len(example.ids) for example in examples], 0)
    targets = padded([example.targets for example in examples], IGNORED)
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    return Batch(inputs, targets.to(device))


def padded(rows: Sequence[list[int]], value: int) -> Tensor:
    tensors = [torch.tensor(row) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=value)
