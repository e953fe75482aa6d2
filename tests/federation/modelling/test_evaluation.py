from __future__ import annotations

from itertools import starmap

import pytest

from federation.modelling import Evaluated, Examples, Step, evaluate
from tests.federation.modelling.worlds import WET, answers, ignore, trained, weather


def examples_of(world) -> Examples:
    return weather() if world.plan.task.type == "sequence_classification" else answers()


def measured(world, examples: Examples, *, batch_size: int = 4, on_step=ignore) -> Evaluated:
    training = world.plan.training.model_copy(update={"batch_size": batch_size})
    return evaluate(
        base=world.base,
        plan=world.plan.model_copy(update={"training": training}),
        adapter=world.start,
        examples=examples,
        on_step=on_step,
        device="cpu",
    )


def part(examples: Examples, first: int, last: int) -> Examples:
    cut = [None if v is None else v[first:last] for v in (examples.labels, examples.prompts)]
    return Examples(examples.texts[first:last], *cut)


def test_the_statistics_of_parts_add_up_to_those_of_the_whole(world):
    examples = examples_of(world)
    whole = measured(world, examples)
    parts = list(starmap(part, [(examples, 0, 5), (examples, 5, len(examples))]))
    one, two = (measured(world, each) for each in parts)
    assert one.examples + two.examples == whole.examples == len(examples)
    assert one.tokens + two.tokens == whole.tokens
    assert one.loss_sum + two.loss_sum == pytest.approx(whole.loss_sum, rel=1e-5)
    if whole.correct is not None:
        assert one.correct + two.correct == whole.correct


def test_the_size_of_batches_does_not_matter(world):
    sizes = [measured(world, examples_of(world), batch_size=size) for size in (1, 5, 64)]
    assert len({(each.examples, each.correct, each.tokens) for each in sizes}) == 1
    assert [each.loss_sum for each in sizes] == pytest.approx([sizes[0].loss_sum] * 3, rel=1e-4)


def test_language_modelling_counts_predicted_tokens_and_classification_right_answers(world):
    result = measured(world, examples_of(world))
    if world.plan.task.type == "causal_lm":
        assert result.correct is None
        assert result.tokens == sum(min(len(text.split()) + 1, 6) for text in answers().texts)
    else:
        assert 0 <= result.correct <= result.examples
        assert result.tokens == 0


def test_dropout_is_off_also_after_training_on_the_same_base(world, tmp_path):
    before = measured(world, examples_of(world))
    trained(world.base, world.plan, world.start, tmp_path / "update")
    assert measured(world, examples_of(world)) == before


def test_progress_tells_the_mean_loss_so_far(world):
    steps: list[Step] = []
    result = measured(world, examples_of(world), on_step=steps.append)
    assert [step.step for step in steps] == [*range(len(steps))]
    assert steps[0].loss is None
    assert steps[-1].loss == pytest.approx(
        result.loss_sum / (result.tokens or result.examples), rel=0.3
    )


def test_what_an_observer_raises_ends_the_evaluation(world):
    def cancel(_: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(world, examples_of(world), on_step=cancel)


def test_an_empty_text_is_an_example_too(world):
    kind = world.plan.task.type
    empty = Examples(["", WET], labels=["wet", "wet"] if kind != "causal_lm" else None)
    assert measured(world, empty).examples == 2
