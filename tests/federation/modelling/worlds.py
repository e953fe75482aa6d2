"""Tiny base models made on the spot, plans over them, and texts they can learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from federation.modelling import Examples, Step, Trained, create_adapter, train
from federation.plan import (
    AdapterPart,
    Aggregation,
    CausalLanguageModelling,
    FullWeights,
    Ia3,
    Lora,
    Plan,
    PromptTuning,
    SequenceClassification,
    Training,
)

HOT, COLD, WET = "the sun burns hot and bright", "snow falls cold on winter ice", "rain pours wet"
SUMMER, WINTER = "what is the weather in summer", "what is the weather in winter today"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<s>", "</s>", "[MASK]"]
WORDS = dict.fromkeys(f"{HOT} {COLD} {WET} {SUMMER} {WINTER}".split())
VOCABULARY = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
# Initial weights are large, so that an untrained model tells its inputs apart.
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "initializer_range": 0.3,
}


def save_encoder(folder: Path) -> Path:
    """A BERT of two layers with dropout, without any head."""
    model = BertConfig(vocab_size=len(VOCABULARY), num_attention_heads=4, **SIZES)
    tokens = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return _save(folder, model, BertModel, "[CLS] $A [SEP]", tokens)


def save_causal(folder: Path) -> Path:
    """A Llama of two layers, whose tokenizer has no padding token."""
    model = LlamaConfig(
        vocab_size=len(VOCABULARY), num_attention_heads=4, num_key_value_heads=2, **SIZES
    )
    return _save(
        folder, model, LlamaForCausalLM, "<s> $A", {"bos_token": "<s>", "eos_token": "</s>"}
    )


def _save(
    folder: Path,
    config: BertConfig | LlamaConfig,
    kind: type[PreTrainedModel],
    template: str,
    tokens: dict[str, str],
) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        kind(config).save_pretrained(folder)
    save_tokenizer(folder, template, tokens)
    return folder


def save_tokenizer(folder: Path, template: str, tokens: dict[str, str]) -> None:
    """Word by word, over the vocabulary of all texts here."""
    words = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    special = [(token, VOCABULARY[token]) for token in tokens.values()]
    words.post_processor = TemplateProcessing(single=template, special_tokens=special)
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", **tokens).save_pretrained(
        folder
    )


@dataclass(frozen=True)
class World:
    """A base model, a plan for it, and the adapter that a run would start from."""

    base: Path
    plan: Plan
    start: Path


KINDS = ("mean pooling", "the model's head", "causal")


def world_of(kind: str, encoder: Path, causal: Path, folder: Path) -> World:
    """Make a world; the tiny Llama also stands for a decoder that classifies by itself."""
    base, plan = {
        "mean pooling": (encoder, classification()),
        "the model's head": (
            causal,
            classification("model").model_copy(update={"adapter": continuation().adapter}),
        ),
        "causal": (causal, continuation()),
    }[kind]
    return begun(base, plan, folder)


ADAPTERS: dict[str, AdapterPart] = {
    "rslora": Lora(rank=4, alpha=8, rslora=True),
    "dora": Lora(rank=4, alpha=8, dora=True),
    "ia3": Ia3(targets=("query", "output.dense"), feedforward=("output.dense",)),
    "prompt_tuning": PromptTuning(virtual_tokens=3),
    "full": FullWeights(),
}


def world_with(name: str, encoder: Path, causal: Path, folder: Path) -> World:
    """A world of another adapter: classification, or on the tiny Llama with " causal" after it."""
    name, _, task = name.partition(" ")
    adapter, plan = ADAPTERS[name], continuation() if task else classification()
    if task and isinstance(adapter, Lora | Ia3):
        adapter = adapter.model_copy(update={"targets": ("q_proj",), "feedforward": ()})
    strategy = "stack_svd" if isinstance(adapter, Lora) else "fedavg"
    changes = {"adapter": adapter, "aggregation": Aggregation(strategy=strategy)}
    return begun(causal if task else encoder, plan.model_copy(update=changes), folder)


def begun(base: Path, plan: Plan, folder: Path) -> World:
    folder.mkdir(exist_ok=True)
    start = folder / "start.safetensors"
    create_adapter(base=base, plan=plan, target=start)
    return World(base, plan, start)


def classification(pooling: str = "mean", **training: object) -> Plan:
    return Plan(
        task=SequenceClassification(labels=("cold", "hot", "wet"), pooling=pooling, max_tokens=12),
        adapter=Lora(rank=4, alpha=8),
        training=Training(**({"batch_size": 4, "epochs": 4, "learning_rate": 0.01} | training)),
        seed=5,
    )


def continuation(**training: object) -> Plan:
    return Plan(
        task=CausalLanguageModelling(max_tokens=12),
        adapter=Lora(rank=4, alpha=8, targets=("q_proj", "v_proj")),
        training=Training(**({"batch_size": 4, "epochs": 8, "learning_rate": 0.05} | training)),
        seed=5,
    )


def weather(count: int = 24) -> Examples:
    """Texts of different length, cut from three sentences, each with its label."""
    kinds = ((COLD, "cold"), (HOT, "hot"), (WET, "wet"))
    picked = [kinds[number % 3] for number in range(count)]
    texts = [" ".join(text.split()[: 2 + n % 4]) for n, (text, _) in enumerate(picked)]
    return Examples(texts, labels=[label for _, label in picked])


def answers(count: int = 12) -> Examples:
    return Examples(
        [(HOT, COLD)[number % 2] for number in range(count)],
        prompts=[(SUMMER, WINTER)[number % 2] for number in range(count)],
    )


def ignore(_: Step) -> None:
    """What an observer without interest does at every step."""


def trained(base: Path, plan: Plan, start: Path, target: Path, **changes: object) -> Trained:
    """Train on the CPU at the plan's rank on the texts of its task, unless told otherwise."""
    examples = weather() if isinstance(plan.task, SequenceClassification) else answers()
    options = {"rank": plan.adapter.rank, "seed": 1, "examples": examples, "on_step": ignore}
    return train(
        base=base, plan=plan, start=start, target=target, device="cpu", **(options | changes)
    )
