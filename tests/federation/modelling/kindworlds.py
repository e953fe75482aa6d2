"""Worlds of the kinds of task that are not texts under labels or texts continued."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    ViTConfig,
    ViTModel,
)

from federation.modelling import Examples
from federation.plan import (
    Chat,
    ImageClassification,
    Lora,
    MaskedLanguageModelling,
    Plan,
    TaskPart,
    Training,
)
from tests.federation.modelling.worlds import (
    COLD,
    HOT,
    SIZES,
    SUMMER,
    VOCABULARY,
    WET,
    WINTER,
    World,
    begun,
    save_tokenizer,
)

TEMPLATE = (
    "{% for message in messages %}<s> {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %} </s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<s>{% endif %}"
)
COLOURS = {"cold": (0, 0, 255), "hot": (255, 0, 0), "wet": (0, 255, 0)}
SIDE = 16


@dataclass(frozen=True)
class Lesson:
    """A world and the examples that it learns from."""

    world: World
    examples: Examples


def plan_of(task: TaskPart, *targets: str, **training: object) -> Plan:
    return Plan(
        task=task,
        adapter=Lora(rank=4, alpha=8, targets=targets),
        training=Training(**({"batch_size": 4, "epochs": 4, "learning_rate": 0.03} | training)),
        seed=5,
    )


def with_template(causal: Path, folder: Path, template: str = TEMPLATE) -> Path:
    """The tiny Llama, with a chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in causal.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(causal)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def talk(*turns: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]


def chats(count: int = 12) -> Examples:
    talks = [talk(SUMMER, HOT, WINTER, COLD), talk(WINTER, COLD)]
    return Examples(messages=[talks[number % 2] for number in range(count)])


def chatting(causal: Path, folder: Path) -> Lesson:
    base = with_template(causal, folder / "base")
    plan = plan_of(Chat(max_tokens=40), "q_proj", "v_proj")
    return Lesson(begun(base, plan, folder), chats())


def filling(causal: Path, folder: Path) -> Lesson:
    del causal
    base = folder / "base"
    with torch.random.fork_rng():
        torch.manual_seed(11)
        config = BertConfig(vocab_size=len(VOCABULARY), num_attention_heads=4, **SIZES)
        BertForMaskedLM(config).save_pretrained(base)
    tokens = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    save_tokenizer(base, "[CLS] $A [SEP]", {**tokens, "mask_token": "[MASK]"})
    plan = plan_of(MaskedLanguageModelling(max_tokens=12, hidden=0.3), "query", "value")
    return Lesson(begun(base, plan, folder), Examples([(HOT, COLD, WET)[n % 3] for n in range(24)]))


def looking(causal: Path, folder: Path) -> Lesson:
    del causal
    base = folder / "base"
    sizes = {**SIZES, "num_attention_heads": 4, "image_size": SIDE, "patch_size": 8}
    with torch.random.fork_rng():
        torch.manual_seed(11)
        ViTModel(ViTConfig(**sizes)).save_pretrained(base)
    about = {"image_processor_type": "ViTImageProcessor", "size": {"height": SIDE, "width": SIDE}}
    means = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (base / "preprocessor_config.json").write_text(json.dumps({**about, **means}))
    plan = plan_of(ImageClassification(labels=tuple(COLOURS)), "q_proj", "v_proj")
    return Lesson(begun(base, plan, folder), pictures(folder / "pictures"))


def pictures(folder: Path, count: int = 12) -> Examples:
    folder.mkdir(parents=True, exist_ok=True)
    labels = [sorted(COLOURS)[number % 3] for number in range(count)]
    files = [folder / f"{number}.png" for number in range(count)]
    for number, (file, label) in enumerate(zip(files, labels, strict=True)):
        Image.new("RGB", (SIDE + number, SIDE), COLOURS[label]).save(file)
    return Examples(images=files, labels=labels)


LESSONS: dict[str, Callable[[Path, Path], Lesson]] = {
    "chat": chatting,
    "masked_lm": filling,
    "image_classification": looking,
}
