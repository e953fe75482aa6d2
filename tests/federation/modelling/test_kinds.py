"""What a model can be taught beside labels under texts: each kind through the same functions."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from transformers import AutoTokenizer

from federation.modelling import (
    Checkpointing,
    Examples,
    ModellingRefused,
    adapter_config,
    create_adapter,
    evaluate,
)
from federation.modelling.adapting import adapted
from federation.modelling.batches import encode
from federation.modelling.examples import IGNORED
from federation.modelling.kinds import kind_of, kinds
from federation.modelling.kinds.masked import _hidden
from federation.modelling.loading import kept_base
from federation.plan import Chat, FullWeights, MaskedLanguageModelling
from tests.federation.modelling.kindworlds import (
    LESSONS,
    TEMPLATE,
    chats,
    pictures,
    plan_of,
    talk,
    with_template,
)
from tests.federation.modelling.worlds import (
    COLD,
    HOT,
    SUMMER,
    VOCABULARY,
    WINTER,
    classification,
    continuation,
    ignore,
    trained,
)


@pytest.fixture(params=sorted(LESSONS))
def lesson(request, causal, tmp_path):
    return LESSONS[request.param](causal, tmp_path)


def learn(lesson, target, **changes):
    world = lesson.world
    options = {"examples": lesson.examples, **changes}
    return trained(world.base, world.plan, world.start, target, **options)


def measured(lesson, file, plan=None):
    return evaluate(
        base=lesson.world.base,
        plan=plan or lesson.world.plan,
        adapter=file,
        examples=lesson.examples,
        on_step=ignore,
        device="cpu",
    )


def test_every_kind_is_in_the_plan_and_the_other_way_round():
    schema = classification().model_json_schema()["properties"]["task"]
    assert set(schema["discriminator"]["mapping"]) == set(kinds)


def test_it_learns_and_the_adapter_alone_carries_it(lesson, tmp_path):
    before = measured(lesson, lesson.world.start)
    learn(lesson, tmp_path / "update")
    after = measured(lesson, tmp_path / "update")
    assert after.loss_sum < 0.95 * before.loss_sum
    assert after.examples == len(lesson.examples)


def test_equal_arguments_give_equal_bytes_interrupted_or_not(lesson, tmp_path):
    def interrupt(step):
        if step.step == 5:
            raise KeyboardInterrupt

    how = {"checkpointing": Checkpointing(tmp_path / "checkpoint", 0.0)}
    learn(lesson, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        learn(lesson, tmp_path / "a", on_step=interrupt, **how)
    learn(lesson, tmp_path / "b", **how)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "whole").read_bytes()


def test_the_size_of_batches_does_not_matter_to_a_measurement(lesson):
    training = lesson.world.plan.training.model_copy(update={"batch_size": 3})
    other = lesson.world.plan.model_copy(update={"training": training})
    one, two = (measured(lesson, lesson.world.start, plan) for plan in (lesson.world.plan, other))
    assert two.loss_sum == pytest.approx(one.loss_sum, rel=1e-4)
    assert two.rows.losses == pytest.approx(one.rows.losses, rel=1e-3)
    assert replace(two.rows, losses=()) == replace(one.rows, losses=())


def test_all_weights_can_be_trained(lesson, tmp_path):
    changes = {"adapter": FullWeights()}
    plan = lesson.world.plan.model_copy(update=changes)
    create_adapter(base=lesson.world.base, plan=plan, target=tmp_path / "start")
    full = replace(lesson, world=replace(lesson.world, plan=plan, start=tmp_path / "start"))
    learn(full, tmp_path / "update")
    assert (
        measured(full, tmp_path / "update").loss_sum < measured(full, tmp_path / "start").loss_sum
    )


PROGRAM = """
import json, sys, torch, transformers
from peft import PeftModel

def answer(folder, base, kind, labels, inputs):
    options = {"num_labels": labels} if labels else {}
    model = getattr(transformers, kind).from_pretrained(base, **options)
    model = PeftModel.from_pretrained(model, folder).eval()
    return model(**{name: torch.tensor(value) for name, value in inputs.items()}).logits.tolist()

print(json.dumps([answer(*each) for each in json.loads(sys.argv[1])]))
"""


def test_stock_classes_give_the_same_answers_in_a_process_of_their_own(causal, tmp_path):
    asked, expected = [], []
    for name, make in LESSONS.items():
        lesson = make(causal, tmp_path / name)
        folder = tmp_path / name / "published"
        folder.mkdir()
        learn(lesson, folder / "adapter_model.safetensors")
        plan, base = lesson.world.plan, lesson.world.base
        config = adapter_config(plan, base_repo=str(base))
        (folder / "adapter_config.json").write_text(json.dumps(config))
        kept = kept_base(base, plan, torch.device("cpu"))
        model = adapted(kept, plan, rank=4, file=folder / "adapter_model.safetensors")
        model.model.eval()
        dice = torch.Generator().manual_seed(1)
        encoded = encode(lesson.examples, plan, model.processor)[:3]
        inputs = kind_of(plan).batch(encoded, model, plan, dice).inputs
        with torch.no_grad():
            expected.append(model.model(**inputs).logits)
        plain = {key: value.tolist() for key, value in inputs.items()}
        labels = len(getattr(plan.task, "labels", ()))
        asked.append((str(folder), str(base), plan.task.model_class, labels, plain))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(asked)],
        env={"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    for answer, ours in zip(json.loads(done.stdout), expected, strict=True):
        torch.testing.assert_close(torch.tensor(answer), ours, atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------ chats


def ids(words: str) -> list[int]:
    return [VOCABULARY[word] for word in words.split()]


@pytest.fixture
def tokenizer(causal, tmp_path):
    return AutoTokenizer.from_pretrained(with_template(causal, tmp_path))


def chat(limit: int = 64, **changes):
    return plan_of(Chat(max_tokens=limit, **changes), "q_proj")


def test_only_what_the_assistant_says_is_learnt(tokenizer):
    asked = Examples(messages=[talk("what is the weather", "snow falls", "and", "rain", "ice")])
    (example,) = encode(asked, chat(), tokenizer)
    first, second = ids("<s> what is the weather <s>"), ids("<s> and <s>")
    assert example.ids == first + ids("snow falls </s>") + second + ids("rain </s>")
    wanted = [IGNORED] * len(first) + ids("snow falls </s>")
    assert example.targets == wanted + [IGNORED] * len(second) + ids("rain </s>")
    assert example.terms == 5


def test_a_system_message_is_given_and_not_learnt(tokenizer):
    messages = [{"role": "system", "content": "weather"}, *talk("winter", "ice")]
    (example,) = encode(Examples(messages=[messages]), chat(), tokenizer)
    assert example.ids == ids("<s> weather <s> winter <s> ice </s>")
    assert example.terms == 2


def test_a_long_conversation_is_cut_at_its_end(tokenizer):
    (example,) = encode(Examples(messages=[talk(WINTER, COLD, SUMMER, HOT)]), chat(10), tokenizer)
    assert len(example.ids) == 10


@pytest.mark.parametrize(
    ("template", "messages", "code"),
    [
        (None, [talk("winter", "ice")], "no_chat_template"),
        ("{{ raise_exception('no') }}", [talk("winter", "ice")], "chat_refused"),
        ("{{ messages | length }} {{ messages[-1]['content'] }}",
         [talk("winter", "ice", "summer", "hot")], "chat_template_unsuitable"),
        (TEMPLATE, [talk("winter")], "no_examples"),
        (TEMPLATE, None, "messages_missing"),
    ],
)  # fmt: skip
def test_what_no_conversation_can_come_of_is_refused(tokenizer, template, messages, code):
    tokenizer.chat_template = template
    given = Examples(["a"]) if messages is None else Examples(messages=messages)
    with pytest.raises(ModellingRefused) as refused:
        encode(given, chat(), tokenizer)
    assert refused.value.code == code
    assert "winter" not in refused.value.detail


# ------------------------------------------------------------------ hidden words


def filling(share: float = 0.3):
    return plan_of(MaskedLanguageModelling(max_tokens=12, hidden=share), "query")


@pytest.fixture
def masking(causal, tmp_path):
    lesson = LESSONS["masked_lm"](causal, tmp_path)
    return AutoTokenizer.from_pretrained(lesson.world.base)


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.3, 2), (0.5, 3), (0.9, 5)])
def test_the_share_is_exact_and_special_tokens_are_never_hidden(masking, share, count):
    (example,) = encode(Examples(["the sun burns hot and bright"]), filling(share), masking)
    assert example.terms == count
    for seed in range(20):
        dice = torch.Generator().manual_seed(seed)
        hidden = _hidden(example, masking, dice)
        places = [place for place, target in enumerate(hidden.targets) if target != IGNORED]
        assert len(places) == count
        assert not {0, len(example.ids) - 1} & set(places)
        assert [hidden.targets[p] for p in places] == [example.ids[p] for p in places]
        shown = [p for p in range(len(example.ids)) if p not in places]
        assert [hidden.ids[p] for p in shown] == [example.ids[p] for p in shown]


def test_most_hidden_words_are_masked_some_replaced_and_some_shown(masking):
    (example,) = encode(Examples([HOT]), filling(0.5), masking)
    dice, masked, same, count = torch.Generator().manual_seed(1), 0, 0, 0
    for _ in range(500):
        hidden = _hidden(example, masking, dice)
        for given, target in zip(hidden.ids, hidden.targets, strict=True):
            count += target != IGNORED
            masked += target != IGNORED and given == masking.mask_token_id
            same += given == target
    assert masked / count == pytest.approx(0.8, abs=0.04)
    assert same / count == pytest.approx(0.1, abs=0.03)


def test_a_tokenizer_that_can_hide_nothing_is_refused(tokenizer):
    with pytest.raises(ModellingRefused, match="no_mask_token"):
        encode(Examples([HOT]), filling(), tokenizer)


def test_a_base_without_a_head_for_words_is_refused(encoder, tmp_path):
    with pytest.raises(ModellingRefused, match="base_incomplete"):
        create_adapter(base=encoder, plan=filling(), target=tmp_path / "start")


# ------------------------------------------------------------------ images


def test_without_pillow_images_are_refused_with_what_to_install(causal, tmp_path, monkeypatch):
    lesson = LESSONS["image_classification"](causal, tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModellingRefused, match="pip install pillow") as refused:
        learn(lesson, tmp_path / "update")
    assert refused.value.code == "images_unsupported"


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n truncated"])
def test_an_image_that_cannot_be_opened_is_refused_without_its_name(causal, tmp_path, content):
    lesson = LESSONS["image_classification"](causal, tmp_path)
    lesson.examples.images[3].write_bytes(content)
    with pytest.raises(ModellingRefused) as refused:
        learn(lesson, tmp_path / "update")
    assert refused.value.code == "image_unreadable"
    assert "3.png" not in str(refused.value)


def test_images_need_labels_that_the_plan_lists(causal, tmp_path):
    lesson = LESSONS["image_classification"](causal, tmp_path)
    known = pictures(tmp_path / "more", 3)
    for given, code in (
        (Examples(known.texts, labels=["hot"], images=None), "no_examples"),
        (replace(known, labels=["hot", "lukewarm", "wet"]), "unknown_label"),
        (replace(known, labels=None), "labels_missing"),
    ):
        with pytest.raises(ModellingRefused) as refused:
            learn(replace(lesson, examples=given), tmp_path / "update")
        assert refused.value.code == code


def test_a_changed_image_has_another_fingerprint(tmp_path):
    known = pictures(tmp_path, 3)
    before = known.fingerprint()
    assert known.fingerprint() == before
    known.images[0].write_bytes(b"other")
    assert known.fingerprint() != before
    assert chats(2).fingerprint() != chats(4).fingerprint()


def test_a_text_task_reads_no_images(causal, tmp_path):
    plan = continuation()
    create_adapter(base=causal, plan=plan, target=tmp_path / "start")
    with pytest.raises(ModellingRefused, match="no_examples"):
        trained(causal, plan, tmp_path / "start", tmp_path / "update", examples=Examples())
