"""What past rounds say of a run to come."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from federation.plan import Plan, SequenceClassification, Transfer
from hub.federations.places import Place
from hub.runs.forecasts import Cost, Past, forecast, past_of
from tests.hub.runs.world import World, plan_of

BLAISE = Place(UUID(int=1), "Blaise", "blaise", 0, 8, True, False, False, None)
UPDATE = Past(3.0, 64_000, 80_000, 8, 8, 10, 5, 2, 1, "lora", None)
TASK = SequenceClassification(labels=("ham", "spam"))


def cost(codec: str, past: Past = UPDATE) -> Cost:
    plan = Plan(task=TASK, transfer=Transfer.model_validate({"codec": codec}))
    return forecast(plan, [BLAISE], {BLAISE.id: [past]}).costs[0]


@pytest.mark.parametrize(
    ("codec", "bits"), [("fp32", 32), ("bf16", 16), ("int8", 8.5), ("nf4", 4.5)]
)
def test_updates_are_as_long_as_the_codec_makes_them(codec: str, bits: float) -> None:
    plain, coded = cost("fp32"), cost(codec)
    assert (plain.bytes_up, coded.bytes_down) == (64_000 * 5, plain.bytes_down)
    assert coded.bytes_up == pytest.approx(64_000 * 5 * bits / 32)


def test_an_update_of_the_same_codec_says_the_length_itself() -> None:
    coded = replace(UPDATE, codec="nf4")
    assert cost("nf4", coded).bytes_up == 64_000 * 5
    assert cost("bf16", coded).bytes_up == pytest.approx(64_000 * 5 * 16 / 4.5)


def test_what_other_factors_took_says_nothing_of_these() -> None:
    half = replace(UPDATE, strategy="ffa")
    plan = Plan.model_validate({"task": TASK, "aggregation": {"strategy": "fedex"}})
    known = forecast(plan, [BLAISE], {BLAISE.id: [half, UPDATE]}).costs[0]
    assert known.bytes_up == 64_000 * 5
    unknown = cost("fp32", half)
    assert unknown.bytes_up is None
    assert unknown.seconds == cost("fp32").seconds


ADA = replace(BLAISE, id=UUID(int=2), name="Ada", slug="ada")


def down(past: Past, **parts: object) -> float:
    """What Blaise downloads in five rounds, with Ada."""
    plan = Plan.model_validate({"task": TASK, **parts})
    found = forecast(plan, [ADA, BLAISE], {BLAISE.id: [past]}).costs[1].bytes_down
    assert found is not None
    return found


def test_downloads_of_fedex_grow_from_round_to_round() -> None:
    whole = replace(UPDATE, bytes_up=80_000)
    fedex = {"strategy": "fedex"}
    assert down(whole) == 80_000 * 5
    assert down(whole, aggregation=fedex) == 80_000 * (1 + 2 + 3 + 4 + 5)  # a rank for each more
    bounded = {**fedex, "residual_rank": 12}  # one and a half times the pairs' rank of eight
    assert down(whole, aggregation=bounded) == 80_000 * (1 + 2 + 2.5 + 2.5 + 2.5)
    late = replace(whole, bytes_down=400_000, strategy="fedex")  # a start with a residual
    assert down(late) == down(whole)


def test_a_control_variate_comes_down_from_the_second_round_on() -> None:
    parts = {"training": {"optimiser": "sgd"}, "server": {"optimiser": "scaffold"}}
    assert down(UPDATE, aggregation={"strategy": "fedavg"}, **parts) == 80_000 * 9


def test_the_codec_of_the_past_is_read_from_its_plan(world: World) -> None:
    world.play_round(world.start_run(plan_of(count=1)))
    known = past_of(world.federation.pk)
    assert {one.codec for past in known.values() for one in past} == {None}
