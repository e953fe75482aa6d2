"""Merged models, loaded by transformers alone, against base and adapter loaded by peft."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from federation.layout import ranks_of, read_layout
from federation.modelling import ModellingRefused, adapter_config, merge_adapter
from federation.modelling.config import layers_of
from federation.plan import Aggregation, FullWeights, Ia3, Lora
from federation.tensors import sha256_of
from tests.federation.modelling.kindworlds import filling, looking
from tests.federation.modelling.worlds import (
    KINDS,
    VOCABULARY,
    World,
    begun,
    classification,
    continuation,
    save_tokenizer,
    world_of,
    world_with,
)

# peft does not know the sizes of layers that it only copies
pytestmark = pytest.mark.filterwarnings("ignore:Unsupported layer type")
MERGEABLE = ("rslora", "dora", "ia3", "full", "full causal", "dora causal", "ia3 causal")
IDS = torch.tensor([[2, 7, 9, 8, 11, 3], [2, 10, 12, 9, 7, 3]])


def shaken(world: World, folder: Path) -> Path:
    """The world's adapter with values that training could have left, laid out for peft."""
    folder.mkdir(parents=True)
    dice = torch.Generator().manual_seed(3)
    values = {
        name: value + 0.1 * torch.randn(value.shape, generator=dice)
        for name, value in load_file(world.start).items()
    }
    save_file(values, folder / "adapter_model.safetensors", {"format": "pt"})
    layout = read_layout(folder / "adapter_model.safetensors")
    about = adapter_config(
        world.plan,
        base_repo=str(world.base),
        rank=max(ranks_of(layout), default=None),
        layers=layers_of(layout.tensors),
    )
    (folder / "adapter_config.json").write_text(json.dumps(about))
    return folder


def merged(world: World, adapter: Path, target: Path) -> dict[str, str]:
    target.mkdir()
    return merge_adapter(
        base=world.base,
        adapter=adapter / "adapter_model.safetensors",
        config=json.loads((adapter / "adapter_config.json").read_text()),
        plan=world.plan,
        target=target,
    )


def given(model) -> dict[str, torch.Tensor]:
    if model.main_input_name == "pixel_values":
        return {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)}
    return {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}


def logits_of(model) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(**given(model)).logits


def logits_by_peft(world: World, adapter: Path, **options: object) -> torch.Tensor:
    kind = getattr(transformers, world.plan.task.model_class)
    labels = {"num_labels": 3} if hasattr(world.plan.task, "labels") else {}
    base = kind.from_pretrained(world.base, **labels, **options)
    if getattr(base.config, "pad_token_id", 0) is None:
        base.config.pad_token_id = 0
    model = PeftModel.from_pretrained(base, adapter)
    return logits_of(model.get_base_model())


def logits_merged(world: World, folder: Path) -> torch.Tensor:
    kind = getattr(transformers, world.plan.task.model_class)
    model, report = kind.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]
    if getattr(model.config, "pad_token_id", 0) is None:
        model.config.pad_token_id = 0
    return logits_of(model)


def check(world: World, folder: Path) -> Path:
    adapter = shaken(world, folder / "adapter")
    merged(world, adapter, folder / "merged")
    expected = logits_by_peft(world, adapter)
    torch.testing.assert_close(
        logits_merged(world, folder / "merged"), expected, atol=1e-5, rtol=1e-5
    )
    return folder / "merged"


@pytest.mark.parametrize("kind", [*KINDS, *MERGEABLE])
def test_merged_it_answers_as_base_and_adapter_do(kind, encoder, causal, tmp_path):
    make = world_of if kind in KINDS else world_with
    check(make(kind, encoder, causal, tmp_path / "world"), tmp_path)


@pytest.mark.parametrize("lesson", [filling, looking])
def test_other_kinds_of_task_too(lesson, causal, tmp_path):
    check(lesson(causal, tmp_path / "world").world, tmp_path)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_a_head_that_was_the_table_of_words_is_so_no_longer(causal, tmp_path):
    world = filling(causal, tmp_path / "lesson").world
    changes = {"adapter": FullWeights(), "aggregation": Aggregation(strategy="fedavg")}
    check(begun(world.base, world.plan.model_copy(update=changes), tmp_path / "world"), tmp_path)


def transposed(folder: Path) -> Path:
    """A GPT-2: its matrices lie as (in, out), and its head is its table of words."""
    config = transformers.GPT2Config(
        vocab_size=len(VOCABULARY), n_embd=32, n_layer=2, n_head=4, initializer_range=0.3
    )
    with torch.random.fork_rng():
        torch.manual_seed(2)
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    save_tokenizer(folder, "<s> $A", {"bos_token": "<s>", "eos_token": "</s>"})
    return folder


@pytest.mark.parametrize(
    "adapter",
    [
        Lora(rank=4, alpha=8, targets=("c_attn",)),
        Lora(rank=4, alpha=8, targets=("c_attn", "c_fc"), dora=True),
        Ia3(targets=("c_attn", "c_proj"), feedforward=("c_proj",)),
        FullWeights(),
    ],
    ids=["lora", "dora", "ia3", "full"],
)
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_matrices_that_lie_the_other_way_and_tables_used_twice(adapter, tmp_path):
    strategy = "stack_svd" if isinstance(adapter, Lora) else "fedavg"
    changes = {"adapter": adapter, "aggregation": Aggregation(strategy=strategy)}
    plan = continuation().model_copy(update=changes)
    world = begun(transposed(tmp_path / "base"), plan, tmp_path / "world")
    found = json.loads((check(world, tmp_path) / "config.json").read_text())
    assert found.get("tie_word_embeddings", True) != isinstance(adapter, FullWeights)


@pytest.fixture
def sharded(causal, tmp_path) -> World:
    """A base in bf16 and three files."""
    base = tmp_path / "sharded"
    model = transformers.AutoModelForCausalLM.from_pretrained(causal, dtype=torch.bfloat16)
    model.save_pretrained(base, max_shard_size="20KB")
    transformers.AutoTokenizer.from_pretrained(causal).save_pretrained(base)
    return begun(
        base,
        classification("model").model_copy(update={"adapter": continuation().adapter}),
        tmp_path / "world",
    )


def test_shards_and_dtype_are_the_base_s(sharded, tmp_path):
    adapter = shaken(sharded, tmp_path / "adapter")
    written = merged(sharded, adapter, tmp_path / "merged")
    shards = sorted(path.name for path in sharded.base.glob("*.safetensors"))
    assert len(shards) > 2
    assert sorted(written) == sorted([*shards, "config.json", "model.safetensors.index.json"])
    index = json.loads((tmp_path / "merged/model.safetensors.index.json").read_text())
    held = {}
    for shard in shards:
        with safe_open(tmp_path / "merged" / shard, "pt") as file:
            assert file.metadata() == {"format": "pt"}
            held |= {name: (shard, file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    assert index["weight_map"] == {name: shard for name, (shard, _) in held.items()}
    assert index["metadata"]["total_size"] == sum(t.nbytes for _, t in held.values())
    assert {tensor.dtype for _, tensor in held.values()} == {torch.bfloat16}
    exact = logits_by_peft(sharded, adapter, dtype=torch.float32)
    torch.testing.assert_close(
        logits_merged(sharded, tmp_path / "merged").float(), exact, atol=0.1, rtol=0.05
    )


def test_what_the_adapter_leaves_alone_is_copied_and_all_bytes_come_again(sharded, tmp_path):
    adapter = shaken(sharded, tmp_path / "adapter")
    first = merged(sharded, adapter, tmp_path / "first")
    assert merged(sharded, adapter, tmp_path / "again") == first
    assert {path: sha256_of(tmp_path / "first" / path) for path in first} == first
    changed = set()
    for shard in sharded.base.glob("*.safetensors"):
        before, after = load_file(shard), load_file(tmp_path / "first" / shard.name)
        changed |= {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj"}


def test_the_labels_are_in_its_configuration(encoder, causal, tmp_path):
    folder = check(world_of("mean pooling", encoder, causal, tmp_path / "world"), tmp_path)
    config = transformers.AutoConfig.from_pretrained(folder)
    assert config.id2label == {0: "cold", 1: "hot", 2: "wet"}
    assert config.architectures == ["BertForTokenClassification"]


def test_a_learnt_prompt_is_no_weight_and_is_refused(encoder, causal, tmp_path):
    world = world_with("prompt_tuning", encoder, causal, tmp_path / "world")
    with pytest.raises(ModellingRefused, match="not_mergeable: a learnt prompt"):
        merged(world, shaken(world, tmp_path / "adapter"), tmp_path / "merged")


def test_an_unreadable_base_is_refused(encoder, causal, tmp_path):
    world = world_of("causal", encoder, causal, tmp_path / "world")
    adapter = shaken(world, tmp_path / "adapter")
    with pytest.raises(ModellingRefused, match="base_unreadable"):
        merged(replace(world, base=tmp_path / "none"), adapter, tmp_path / "merged")
