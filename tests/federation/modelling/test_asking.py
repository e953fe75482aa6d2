"""What the playground asks: a version and its base beside it."""

from __future__ import annotations

import math
import time
from base64 import b64encode
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import AutoModelForCausalLM, AutoTokenizer

from federation.layout import RESIDUAL_A, RESIDUAL_B
from federation.modelling import ModellingRefused
from federation.modelling.asking import ask
from federation.modelling.kinds import kinds
from federation.modelling.questions import PLAYGROUNDS, Question
from federation.plan import Aggregation
from tests.federation.modelling.kindworlds import LESSONS, with_template
from tests.federation.modelling.worlds import (
    ADAPTERS,
    COLD,
    HOT,
    SUMMER,
    WINTER,
    begun,
    continuation,
    trained,
    world_of,
    world_with,
)


def asked(world, adapter=None, seconds: float = 60.0, **question: object):
    return ask(
        base=world.base,
        plan=world.plan,
        adapter=adapter or world.start,
        question=Question(**question),
        seconds=seconds,
        device="cpu",
    )


def picture(examples, label: str) -> bytes:
    return b64encode(examples.images[examples.labels.index(label)].read_bytes())


def learnt(world, folder, **changes: object):
    target = folder / "learnt.safetensors"
    trained(world.base, world.plan, world.start, target, **changes)
    return target


def test_every_kind_of_task_can_be_asked():
    assert set(PLAYGROUNDS) == set(kinds)


def test_a_version_names_labels_and_its_base_has_none(encoder, causal, tmp_path):
    for kind in ("mean pooling", "the model's head"):
        world = world_of(kind, encoder, causal, tmp_path / kind)
        said = asked(world, learnt(world, tmp_path / kind), text=COLD)
        (guesses,) = said.version.guesses
        assert guesses[0].words == "cold"
        assert [g.share for g in guesses] == sorted((g.share for g in guesses), reverse=True)
        assert math.isclose(sum(g.share for g in guesses), 1, abs_tol=1e-6)
        assert said.base is None


def test_a_text_is_cut_as_in_training_and_that_is_said(encoder, causal, tmp_path):
    world = world_of("mean pooling", encoder, causal, tmp_path)
    beginning = " ".join(["snow"] * 10)
    long, short = asked(world, text=f"{beginning} sun sun sun"), asked(world, text=beginning)
    assert (long.is_shortened, short.is_shortened) == (True, False)
    assert long.version == short.version


def test_a_causal_base_says_what_the_library_s_says_and_the_version_what_it_learnt(
    causal, encoder, tmp_path
):
    world = world_of("causal", encoder, causal, tmp_path)
    said = asked(world, learnt(world, tmp_path), text=SUMMER, new_tokens=5)
    assert said.version.text == " ".join(HOT.split()[:5])
    assert said.version.is_cut
    tokenizer = AutoTokenizer.from_pretrained(causal)
    given = tokenizer(SUMMER, return_tensors="pt")
    given = {name: given[name] for name in ("input_ids", "attention_mask")}
    stock = AutoModelForCausalLM.from_pretrained(causal)
    made = stock.generate(
        **given, max_new_tokens=5, do_sample=False, pad_token_id=0, eos_token_id=[2, 5]
    )
    new = made[0, given["input_ids"].shape[1] :]
    assert said.base.text == tokenizer.decode(new, skip_special_tokens=True)


def test_the_same_question_gets_the_same_answer(causal, encoder, tmp_path):
    world = world_of("causal", encoder, causal, tmp_path)
    question = {"text": WINTER, "new_tokens": 12}
    first, again = (asked(world, **question) for _ in range(2))
    assert replace_seconds(first) == replace_seconds(again)


def replace_seconds(answer):
    return answer.model_copy(update={"seconds": 0.0})


@pytest.mark.parametrize("name", ["dora", "ia3", "full", "prompt_tuning"])
def test_a_start_says_what_its_base_says(name, encoder, causal, tmp_path):
    world = world_with(f"{name} causal", encoder, causal, tmp_path)
    said = asked(world, text=SUMMER, new_tokens=4)
    assert name in ADAPTERS
    assert name == "prompt_tuning" or said.version == said.base


def test_the_base_beside_a_state_is_the_base_alone(causal, encoder, tmp_path):
    plain = asked(world_of("causal", encoder, causal, tmp_path), text=SUMMER, new_tokens=6)
    for strategy in ("fedex", "fedsb"):
        plan = continuation().model_copy(update={"aggregation": Aggregation(strategy=strategy)})
        world = begun(causal, plan, tmp_path / strategy)
        state = with_residual(world.start) if strategy == "fedex" else world.start
        said = asked(world, state, text=SUMMER, new_tokens=6)
        assert said.base == plain.base
        assert (said.version == plain.base) == (strategy == "fedsb")


def with_residual(start):
    """The state after a round of FedEx: something beside each layer."""
    tensors = load_file(start)
    for name in [name for name in tensors if name.endswith("lora_A.weight")]:
        module = name.removesuffix(".lora_A.weight")
        tensors[f"{module}{RESIDUAL_A}"] = torch.ones(2, tensors[name].shape[1])
        b = tensors[f"{module}.lora_B.weight"]
        tensors[f"{module}{RESIDUAL_B}"] = torch.ones(b.shape[0], 2)
    target = start.with_name("state.safetensors")
    save_file(tensors, target)
    return target


def test_gaps_are_filled_one_by_one(causal, tmp_path):
    lesson = LESSONS["masked_lm"](causal, tmp_path)
    said = asked(lesson.world, text="snow ___ cold on ___ ice")
    assert [len(guesses) for guesses in said.version.guesses] == [5, 5]
    assert said.version == said.base  # nothing is learnt yet
    better = asked(
        lesson.world, learnt(lesson.world, tmp_path, examples=lesson.examples), text="snow ___ cold"
    )
    assert better.version != better.base


def test_a_chat_is_written_in_the_base_s_template(causal, tmp_path):
    lesson = LESSONS["chat"](causal, tmp_path)
    training = lesson.world.plan.training.model_copy(update={"epochs": 15.0})
    patient = replace(
        lesson.world, plan=lesson.world.plan.model_copy(update={"training": training})
    )
    adapter = learnt(patient, tmp_path, examples=lesson.examples)
    said = asked(patient, adapter, text=WINTER, new_tokens=10).version
    assert (said.text, said.is_cut) == (COLD, False)


def test_a_picture_is_looked_at(causal, tmp_path):
    lesson = LESSONS["image_classification"](causal, tmp_path)
    adapter = learnt(lesson.world, tmp_path, examples=lesson.examples)
    said = asked(lesson.world, adapter, image=picture(lesson.examples, "hot"))
    assert said.version.guesses[0][0].words == "hot"
    assert said.base is None


def refusal(world, **question: object) -> ModellingRefused:
    with pytest.raises(ModellingRefused) as refused:
        asked(world, **question)
    return refused.value


def test_what_is_refused_is_refused_by_its_code_and_never_quoted(causal, encoder, tmp_path):
    world = world_of("causal", encoder, causal, tmp_path)
    found = refusal(world, text="in " * 1200)
    assert found.detail == "the question has 1201 tokens, and there is room for 1 to 1024"
    assert found.code == "prompt_too_long"
    assert refusal(world, text=SUMMER, seconds=0.0).code == "answer_too_slow"
    filling = LESSONS["masked_lm"](causal, tmp_path / "masked").world
    assert refusal(filling, text="no gap").code == "nothing_hidden"
    assert refusal(filling, text="___ " * 6).code == "nothing_hidden"
    looking = LESSONS["image_classification"](causal, tmp_path / "images").world
    assert refusal(looking, image=b"bm90IGFuIGltYWdl").code == "image_unreadable"
    assert refusal(looking).code == "images_missing"


def test_a_template_that_quotes_the_question_is_not_believed(causal, tmp_path):
    lesson = LESSONS["chat"](causal, tmp_path)
    template = "{{ raise_exception(messages[0]['content']) }}"
    base = with_template(causal, tmp_path / "quoting", template)
    found = refusal(replace(lesson.world, base=base), text=SUMMER)
    assert found.code == "chat_refused"
    assert SUMMER not in str(found)


def test_a_text_that_takes_too_long_is_cut_rather_than_refused(causal, encoder, tmp_path):
    world = world_of("causal", encoder, causal, tmp_path)
    asked(world, text=SUMMER, new_tokens=1)  # loaded
    slow = register_module_forward_pre_hook(lambda *_: time.sleep(0.001))
    try:
        said = asked(world, text=SUMMER, new_tokens=200, seconds=1.0)
    finally:
        slow.remove()
    assert said.version.is_cut
    assert said.version.text
    assert said.seconds < 1.0
