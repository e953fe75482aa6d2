"""A tiny real encoder with random weights, its plan, and data that it can learn."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from federation.plan import Plan

LABELS = ("sea", "sky", "stone")
WORDS = {
    "sea": ("wave", "salt", "tide", "shell", "harbour"),
    "sky": ("cloud", "wing", "star", "wind", "dawn"),
    "stone": ("cliff", "slate", "gravel", "wall", "cave"),
}
VOCABULARY = sorted(word for group in WORDS.values() for word in group)
BASE_REPO = "base/tiny"
REVISION = "1" * 40


def plan(**training: object) -> Plan:
    chosen = {"batch_size": 8, "learning_rate": 5e-3, "head_learning_rate": 5e-2, **training}
    return Plan.model_validate(
        {
            "task": {"type": "sequence_classification", "labels": LABELS, "max_tokens": 16},
            "adapter": {"rank": 4, "alpha": 8.0, "targets": ["query", "value"]},
            "training": chosen,
            "seed": 7,
        }
    )


def make_base(
    folder: Path,
    *,
    layers: int = 2,
    width: int = 64,
    known: Sequence[str] = VOCABULARY,
    **settings: Any,
) -> Path:
    """Write a two-layer BERT with a word-level tokenizer, as a base model's repository has it.

    `width` of what lies between a layer's two feed-forward matrices; `known`: its words;
    `settings`: others of its configuration.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", *known]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(1)
    usual = {"hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 32}
    config = BertConfig(
        vocab_size=len(words),
        num_hidden_layers=layers,
        intermediate_size=width,
        **{**usual, **settings},
    )
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    return folder


def make_adapter(base: Path, target: Path) -> Path:
    from federation.modelling import create_adapter

    create_adapter(base=base, plan=plan(), target=target)
    return target


def make_data(folder: Path, *, rows: int = 60, labels: Sequence[str] = LABELS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    chosen = random.Random(3)
    for part, count in (("train", rows), ("test", rows // 3)):
        with (folder / f"{part}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "label"])
            for number in range(count):
                label = LABELS[number % len(LABELS)]
                text = " ".join(chosen.choices(WORDS[label], k=5))
                table.writerow([text, labels[number % len(labels)]])
    return folder
