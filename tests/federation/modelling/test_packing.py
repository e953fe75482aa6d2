"""Texts that share a row: their losses are those of the texts alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import BloomConfig, BloomForCausalLM

from federation.modelling import ModellingRefused, create_adapter
from federation.modelling.adapting import adapted
from federation.modelling.batches import encode
from federation.modelling.collating import collate
from federation.modelling.examples import IGNORED, Example
from federation.modelling.loading import kept_base
from federation.modelling.objectives import outcome
from federation.modelling.packing import collate_packed, packed
from federation.plan import Aggregation, CausalLanguageModelling, Plan, PromptTuning
from tests.federation.modelling.worlds import answers, begun, continuation, save_tokenizer, trained

CPU = torch.device("cpu")
sizes = st.lists(st.integers(1, 30), min_size=1, max_size=60)


def packing(limit: int = 40, **training: object) -> Plan:
    task = CausalLanguageModelling(max_tokens=limit, packing=True)
    return continuation(**training).model_copy(update={"task": task})


@given(sizes=sizes)
def test_every_text_is_in_one_row_whole_and_no_row_is_too_long(sizes):
    texts = [
        Example([number] * size, [number] * size, size - 1) for number, size in enumerate(sizes)
    ]
    rows = packed(texts, 30)
    assert max(len(row.ids) for row in rows) <= 30
    assert sum(row.terms for row in rows) == sum(text.terms for text in texts)
    found = []
    for row in rows:
        assert sum(row.lengths) == len(row.ids) == len(row.targets)
        begin = 0
        for length in row.lengths:
            piece = row.ids[begin : begin + length]
            assert row.targets[begin : begin + length] == [IGNORED, *piece[1:]]
            found.append(piece)
            begin += length
    assert sorted(found) == sorted(text.ids for text in texts)
    assert sum(row.members for row in rows) == len(sizes)


@given(sizes=sizes)
def test_two_rows_that_fit_into_one_are_one(sizes):
    rows = sorted(len(row.ids) for row in packed([Example([0] * n, [0] * n) for n in sizes], 30))
    assert len(rows) == 1 or rows[0] + rows[1] > 30


def test_the_loss_is_that_of_the_texts_alone(causal, tmp_path):
    world = begun(causal, packing(), tmp_path)
    model = adapted(kept_base(causal, world.plan, CPU), world.plan, rank=4, file=world.start)
    model.model.eval()
    alone = encode(answers(7), world.plan, model.processor)
    rows = encode(answers(7), world.plan, model.processor, packing=True)
    assert len(rows) < len(alone)
    with torch.no_grad():
        expected = outcome(model.model, collate(alone, pad=0, device=CPU), world.plan)
        found = outcome(model.model, collate_packed(rows, pad=0, device=CPU), world.plan)
    torch.testing.assert_close(found.loss, expected.loss)
    assert found.count == expected.count == sum(row.terms for row in rows)


def test_every_example_counts_though_rows_are_fewer(causal, tmp_path):
    world = begun(causal, packing(epochs=2, batch_size=2), tmp_path)
    steps = []
    done = trained(world.base, world.plan, world.start, tmp_path / "a", on_step=steps.append)
    plain = world.plan.model_copy(update={"task": CausalLanguageModelling(max_tokens=40)})
    alone = trained(world.base, plain, world.start, tmp_path / "b")
    assert (done.examples, done.tokens) == (alone.examples, alone.tokens) == (12, done.tokens)
    assert done.steps < alone.steps
    assert len(steps) == done.steps


def test_a_model_that_counts_its_own_positions_is_refused(tmp_path):
    base = tmp_path / "base"
    config = BloomConfig(vocab_size=40, hidden_size=32, n_layer=1, n_head=4)
    BloomForCausalLM(config).save_pretrained(base)
    save_tokenizer(base, "<s> $A", {"bos_token": "<s>", "eos_token": "</s>"})
    adapter = continuation().adapter.model_copy(update={"targets": ("query_key_value",)})
    plan = packing().model_copy(update={"adapter": adapter})
    create_adapter(base=base, plan=plan, target=tmp_path / "start")
    with pytest.raises(ModellingRefused, match="packing_unsupported"):
        trained(base, plan, tmp_path / "start", tmp_path / "update")


def test_a_learnt_prompt_and_packing_do_not_go_together():
    with pytest.raises(ValidationError, match="do not pack"):
        Plan(
            task=CausalLanguageModelling(packing=True),
            adapter=PromptTuning(),
            aggregation=Aggregation(strategy="fedavg"),
        )
