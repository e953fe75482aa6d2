from __future__ import annotations

from math import log
from types import SimpleNamespace

import torch

from federation.modelling.examples import IGNORED, Batch
from federation.modelling.losses import masked_mean
from federation.modelling.objectives import outcome
from tests.federation.modelling.worlds import classification, continuation


def answering(logits: torch.Tensor):
    """A model that answers with these logits, whatever it reads."""
    return lambda **_: SimpleNamespace(logits=logits)


def batch(mask: list[list[int]], targets: list[list[int]]) -> Batch:
    inputs = {
        "input_ids": torch.zeros_like(torch.tensor(mask)),
        "attention_mask": torch.tensor(mask),
    }
    return Batch(inputs, torch.tensor(targets))


def test_the_mean_is_over_unmasked_tokens_only():
    values = torch.tensor([[[1.0, 10.0], [3.0, 30.0], [99.0, 99.0]], [[5.0, 6.0]] * 3])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert masked_mean(values, mask).tolist() == [[2.0, 20.0], [5.0, 6.0]]


def test_a_linear_head_commutes_with_the_mean():
    head = torch.nn.Linear(6, 3)
    values, mask = torch.randn(4, 5, 6), torch.tensor([[1, 1, 1, 0, 0]] * 4)
    torch.testing.assert_close(masked_mean(head(values), mask), head(masked_mean(values, mask)))


def test_classification_by_hand():
    logits = torch.tensor([[[2.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]])
    result = outcome(answering(logits), batch([[1], [1]], [[0], [2]]), classification())
    certain = -log(torch.tensor([2.0, 0.0, 0.0]).softmax(0)[0].item())
    torch.testing.assert_close(result.loss.item(), certain + log(3), rtol=1e-6, atol=0)
    assert (result.count, result.correct) == (2, 1)


def test_the_plan_s_precision_is_that_of_the_matrix_products():
    seen = []

    def model(input_ids, **_):
        seen.append((torch.eye(3) @ torch.eye(3)).dtype)
        return SimpleNamespace(logits=torch.zeros(len(input_ids), 1, 3, dtype=seen[-1]))

    for precision in ("fp32", "bf16"):
        plan = classification(precision=precision)
        assert outcome(model, batch([[1]], [[0]]), plan).loss.dtype == torch.float32
    assert seen == [torch.float32, torch.bfloat16]


def test_only_answers_enter_the_loss_and_each_is_predicted_one_position_earlier():
    logits = torch.zeros(1, 4, 5)
    logits[0, 0] = 50.0 * torch.eye(5)[3]  # wrong, but of the prompt: must not matter
    logits[0, 1, 2] = 1.0  # predicts the token at position 2
    answer = batch([[1, 1, 1, 1]], [[IGNORED, IGNORED, 2, 4]])
    result = outcome(answering(logits), answer, continuation())
    first = -log(torch.eye(5)[2].softmax(0)[2].item())
    torch.testing.assert_close(result.loss.item(), first + log(5), rtol=1e-6, atol=0)
    assert (result.count, result.correct) == (2, None)
