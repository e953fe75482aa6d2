from __future__ import annotations

from uuid import uuid4

import pytest

from federation.protocol import HeartbeatIn, Progress
from hub.catalogue.evaluation.measures import ACCURACY, PERPLEXITY
from hub.catalogue.models import Evaluation
from hub.common.templatetags import foedus
from hub.federations.places import Place, places_in
from hub.runs import charts, services
from tests.hub.runs.world import World, plan_of

ADA, BLAISE = uuid4(), uuid4()


def place(pk, name: str, hue: int) -> Place:
    return Place(
        id=pk, name=name, slug=name.lower(), hue=hue, rank=None, is_active=True,
        is_lead=False, is_own=False, seen_at=None,
    )  # fmt: skip


PLACES = {ADA: place(ADA, "Ada", 0), BLAISE: place(BLAISE, "Blaise", 1)}


def evaluation(who, number: int, correct: int | None, examples: int = 10) -> Evaluation:
    return Evaluation(
        participation_id=who, round_number=number, correct=correct, examples=examples, loss_sum=0.0
    )


@pytest.mark.parametrize("last", [0, 1, 59, 60, 100, 1000, 9999])
def test_a_long_run_is_thinned_between_its_start_and_its_end(last):
    shown = charts.thinned(last)
    assert len(shown) <= charts.MOST_LABELS
    assert (shown[0], shown[-1]) == (0, last)
    assert shown == sorted(set(shown))


def test_the_whole_is_counted_over_all_examples_not_over_organisations():
    data = charts.measured_by_round(
        ACCURACY,
        [
            evaluation(ADA, 0, 0),
            evaluation(ADA, 1, 9),
            evaluation(BLAISE, 1, 30, examples=90),
        ],
        PLACES,
    )
    assert data == {
        "labels": ["start", "1"],
        "series": [
            {"name": "All test data", "values": [0.0, 0.39], "strong": True},
            {"name": "Ada", "values": [0.0, 0.9], "hue": 0},
            {"name": "Blaise", "values": [None, pytest.approx(1 / 3)], "hue": 1},
        ],
    }


def test_a_language_model_is_judged_by_perplexity():
    given = Evaluation(
        participation_id=ADA, round_number=1, correct=None, examples=2, tokens=4, loss_sum=4.0
    )
    data = charts.measured_by_round(PERPLEXITY, [given], PLACES)
    assert data["series"][0]["values"] == [pytest.approx(2.718281828)]


def test_nothing_measured_is_no_chart():
    assert charts.measured_by_round(ACCURACY, [], PLACES) is None


def test_losses_lie_where_the_agents_were_in_the_round(world: World) -> None:
    run = world.start_run(plan_of())
    for site, steps, told in ((0, 10, {0: 4.0, 5: 2.0}), (1, 4, {1: 3.0})):
        offer = world.lease(world.sites[site])
        for step, loss in told.items():
            progress = Progress(phase="training", step=step, steps=steps, loss=loss)
            services.heartbeat(
                agent=world.sites[site].agent,
                task_id=offer.id,
                message=HeartbeatIn(fence=offer.fence, progress=progress),
            )
    data = charts.training_loss(run.pk, places_in(run.federation_id, world.lead))
    assert data["labels"] == ["1", "1.1", "1.2", "1.3", "1.4", "1.5"]
    ada, blaise = (one["values"] for one in data["series"])
    assert ada == [4.0, None, None, None, None, 2.0]
    assert blaise == [None, None, 3.0, None, None, None]
    assert [row for row, _ in foedus.chart_rows(data)] == ["1", "1.2", "1.5"]
    assert data["spanned"]


def test_a_run_without_heartbeats_has_no_loss(world: World) -> None:
    assert charts.training_loss(world.start_run().pk, {}) is None
