from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from federation.modelling import Examples, ModellingRefused
from federation.modelling.batches import batches_by_length, encode, round_of_batches
from federation.modelling.collating import collate
from federation.modelling.examples import IGNORED, Example
from tests.federation.modelling.worlds import (
    VOCABULARY,
    classification,
    continuation,
    weather,
)

lengths = st.lists(st.integers(1, 30), min_size=1, max_size=80)


def of_lengths(sizes: list[int]) -> list[Example]:
    return [Example([7] * size, [0]) for size in sizes]


def ids(words: str) -> list[int]:
    return [VOCABULARY[word] for word in words.split()]


@pytest.fixture(scope="session")
def tokenizer(causal):
    return AutoTokenizer.from_pretrained(causal)


@given(sizes=lengths, epochs=st.integers(1, 3), batch=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_epoch_has_every_example_once(sizes, epochs, batch, seed):
    plan = classification(epochs=epochs, batch_size=batch)
    dealt = round_of_batches(of_lengths(sizes), plan, seed)
    assert sorted(chain(*dealt)) == sorted([*range(len(sizes))] * epochs)
    assert all(1 <= len(indices) <= batch for indices in dealt)


@given(sizes=lengths, batch=st.integers(1, 9))
def test_batches_by_length_have_every_example_once_the_longest_first(sizes, batch):
    order = [*chain(*batches_by_length(of_lengths(sizes), batch))]
    assert sorted(order) == [*range(len(sizes))]
    assert [sizes[index] for index in order] == sorted(sizes, reverse=True)


def test_the_seed_and_nothing_else_decides_on_the_order():
    examples, plan = of_lengths([*range(1, 41)]), classification()
    assert round_of_batches(examples, plan, 3) == round_of_batches(examples, plan, 3)
    assert round_of_batches(examples, plan, 3) != round_of_batches(examples, plan, 4)


def test_half_an_epoch_is_half_of_the_batches():
    plan = classification(epochs=1.5, batch_size=4)
    assert len(round_of_batches(of_lengths([5] * 40), plan, 0)) == 15


def test_most_steps_count_optimiser_steps():
    plan = classification(epochs=9, batch_size=4, max_steps=3, accumulation=2)
    assert len(round_of_batches(of_lengths([5] * 40), plan, 0)) == 6


def test_examples_of_similar_length_share_a_batch():
    batches = round_of_batches(of_lengths([2, 30] * 16), classification(epochs=1), 0)
    assert all(len({2 if index % 2 == 0 else 30 for index in b}) == 1 for b in batches)


def test_padding_is_masked_and_predicts_nothing():
    batch = collate([Example([8, 9], [IGNORED, 9]), Example([8], [8])], pad=5, device="cpu")
    assert batch.inputs["input_ids"].tolist() == [[8, 9], [8, 5]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch.targets.tolist() == [[IGNORED, 9], [8, IGNORED]]


def test_only_the_answer_and_its_end_are_learnt(tokenizer):
    examples = Examples(["snow falls"], prompts=["what is the weather"])
    (example,) = encode(examples, continuation(), tokenizer)
    assert example.ids == ids("<s> what is the weather snow falls </s>")
    assert example.targets == [IGNORED] * 5 + ids("snow falls </s>")
    assert example.terms == 3


def test_without_prompts_the_whole_text_is_learnt(tokenizer):
    (example,) = encode(Examples(["snow falls"]), continuation(), tokenizer)
    assert example.ids == ids("<s> snow falls </s>")
    assert example.targets == [IGNORED, *ids("snow falls </s>")]


def test_a_long_prompt_loses_its_beginning_and_a_long_answer_its_end(tokenizer):
    prompt, answer = "what " * 20 + "today", "snow " + "ice " * 20
    (example,) = encode(Examples([answer], prompts=[prompt]), continuation(), tokenizer)
    assert example.ids == ids("what what what what what today snow ice ice ice ice ice")
    assert example.terms == 6


def test_a_long_prompt_leaves_a_short_answer_whole(tokenizer):
    prompt = "what " * 20 + "today"
    (example,) = encode(Examples(["snow"], prompts=[prompt]), continuation(), tokenizer)
    assert example.ids == ids("what " * 9 + "today snow </s>")


def test_texts_are_cut_to_the_plan_s_tokens(encoder):
    examples = Examples(["snow " * 50], labels=["cold"])
    (example,) = encode(examples, classification(), AutoTokenizer.from_pretrained(encoder))
    assert len(example.ids) == 12


@pytest.mark.parametrize(
    ("plan", "examples", "code"),
    [
        (classification(), Examples([], labels=[]), "no_examples"),
        (classification(), Examples(["snow"]), "labels_missing"),
        (classification(), Examples(["snow"], labels=["lukewarm"]), "unknown_label"),
        (continuation(), Examples([]), "no_examples"),
    ],
)
def test_data_that_does_not_fit_the_plan_is_refused(tokenizer, plan, examples, code):
    with pytest.raises(ModellingRefused) as refused:
        encode(examples, plan, tokenizer)
    assert refused.value.code == code


def test_a_refusal_tells_how_many_labels_are_unknown_but_not_which(tokenizer):
    secret = Examples([*weather(4).texts, "snow"], labels=[*weather(4).labels, "secret"])
    with pytest.raises(ModellingRefused, match="1 of 5") as refused:
        encode(secret, classification(), tokenizer)
    assert "secret" not in str(refused.value)
