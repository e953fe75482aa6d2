"""Images under labels; they are opened as they are needed, never held."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from federation.modelling.adapting import Adapted
from federation.modelling.examples import Answers, Batch, Example, Outcome
from federation.modelling.kinds.base import kinds, label_indices
from federation.modelling.losses import classification, classified
from federation.modelling.messages import Examples, ModellingRefused
from federation.plan import ImageClassification, Plan


@kinds.register("image_classification")
class Images:
    def encode(self, examples: Examples, plan: Plan, processor: Any) -> list[Example]:
        assert isinstance(plan.task, ImageClassification)
        if examples.images is None:
            raise ModellingRefused("images_missing", "there is no image beside the labels")
        labels = label_indices(examples, plan.task.labels)
        return [
            Example([], [label], image=Path(file))
            for file, label in zip(examples.images, labels, strict=True)
        ]

    def batch(
        self, chosen: Sequence[Example], model: Adapted, plan: Plan, dice: Generator | None
    ) -> Batch:
        images = [_opened(example.image) for example in chosen]
        pixels = model.processor(images, return_tensors="pt")["pixel_values"]
        targets = torch.tensor([example.targets for example in chosen])
        return Batch({"pixel_values": pixels.to(model.device)}, targets.to(model.device))

    def outcome(self, logits: Tensor, batch: Batch, plan: Plan) -> Outcome:
        return classification(logits, batch.targets)

    def answers(self, logits: Tensor, batch: Batch, plan: Plan) -> Answers:
        return classified(logits, batch.targets)


def _opened(file: Path | None) -> Any:
    image = import_module("PIL.Image")
    assert file
    try:
        with image.open(file) as opened:
            return opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        told = f"an image cannot be opened ({type(error).__name__})"
        raise ModellingRefused("image_unreadable", told) from None
