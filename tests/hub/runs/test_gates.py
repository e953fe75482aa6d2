"""From what agents send to what a federation may release."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from federation.plan_gates import Gates
from federation.protocol import EvaluationIn, EvaluationResult, Scores
from federation.tallies import Rows, result_of
from hub.catalogue.errors import EvaluationInconsistent, GatesFailed
from hub.catalogue.evaluation.gating import judge_version
from hub.catalogue.evaluation.scoring import ask_score, record_score
from hub.catalogue.models import BASE_ROUND, Evaluation, GateResult, ModelVersion, Probe, Tally
from hub.catalogue.versions.registry import release_version, retire_version
from hub.common.models import Event
from hub.runs import services
from hub.runs.models import Run
from tests.hub.runs.world import Site, World, plan_of
from tests.pages import browser

Shares = Mapping[str, float]  # how much of its test set a candidate gets right, by name

ASKED = Gates(below_release_at_most=0.0, organisation_below_release_at_most=0.02)


def rows(examples: int, right: float) -> Rows:
    """Labels in turns; the first examples are answered rightly."""
    truths = tuple(place % 2 for place in range(examples))
    hits = round(right * examples)
    answers = tuple(t if place < hits else 1 - t for place, t in enumerate(truths))
    losses = tuple(0.1 if place < hits else 2.0 for place in range(examples))
    return Rows(losses, (1,) * examples, truths, answers)


def measured(examples: int, name: str, found: Rows, beside: Rows | None) -> EvaluationResult:
    right = (examples // 2, *(0,) * 255)
    wrong = (examples - examples // 2, *(0,) * 255)
    return result_of(name, found, Scores(right=right, wrong=wrong), beside)


def measure(world: World, site: Site, examples: int, shares: Shares) -> EvaluationIn:
    """Answer an evaluation as an agent does; what is not named is right in half of all cases."""
    offer = world.lease(site)
    found = {c.name: rows(examples, shares.get(c.name, 0.5)) for c in offer.spec.candidates}
    named = offer.spec.reference
    message = EvaluationIn(
        fence=offer.fence,
        results=tuple(
            measured(examples, name, one, None if name == named else found[named])
            for name, one in found.items()
        ),
    )
    services.submit_evaluation(agent=site.agent, task_id=offer.id, message=message)
    return message


def played(world: World, *each: tuple[int, Shares], gates: Gates = ASKED, **options) -> Run:
    """A run of one round, with what each site finds of its result."""
    plan = plan_of(count=1).model_copy(update={"gates": gates})
    run = world.start_run(plan, **options)
    for site in world.sites:
        world.train(site)
    world.aggregate(run)
    for site, (examples, shares) in zip(world.sites, each, strict=True):
        measure(world, site, examples, shares)
    services.advance_run(run_id=run.pk)
    return run


def version_of(run: Run) -> ModelVersion:
    return run.rounds.get().version


HARM = ((100, {"1": 0.9}), (100, {"1": 0.8}), (20, {"1": 0.1}))


def test_a_version_that_harms_the_smallest_is_held_up_though_all_together_gain(
    world: World,
) -> None:
    version = version_of(played(world, *HARM))
    pooled, each = GateResult.objects.filter(version=version)
    assert (pooled.verdict, each.verdict) == ("pass", "fail")
    assert pooled.figures["value"] == pytest.approx((40 + 30 - 8) / 220)
    smallest = world.sites[2].agent.organisation.name
    assert (each.figures["who"], each.figures["value"]) == (smallest, -0.4)
    assert each.figures["is_paired"]
    with pytest.raises(GatesFailed, match=f"{smallest}: −40.0 points against the start"):
        release_version(user=world.lead, version_id=version.pk)
    version.refresh_from_db()
    assert version.state == "candidate"
    (told,) = Event.objects.filter(subject_id=version.pk, kind="version.gate_failed")
    assert smallest in told.data["words"]


def test_judged_again_the_word_is_the_same_and_told_once(world: World) -> None:
    version = version_of(played(world, *HARM))
    before = list(GateResult.objects.values_list("gate", "verdict", "figures"))
    judge_version(version=version)
    assert list(GateResult.objects.values_list("gate", "verdict", "figures")) == before
    assert Event.objects.filter(kind="version.gate_failed").count() == 1


def test_a_version_that_serves_all_is_released_and_the_next_is_measured_beside_it(
    world: World,
) -> None:
    first = version_of(played(world, *((100, {"1": 0.8}),) * 3))
    release_version(user=world.lead, version_id=first.pk)
    second = version_of(
        played(world, *((100, {"reference": 0.8, "1": 0.7}),) * 3, parent_version_id=first.pk)
    )
    assert {tally.against for tally in Tally.objects.filter(evaluation__version=second)} == {first}
    with pytest.raises(GatesFailed, match=r"−10\.0 points against v1"):
        release_version(user=world.lead, version_id=second.pk)


def test_what_is_released_meanwhile_is_what_counts(world: World) -> None:
    """Nobody measured the two beside each other, so the interval is that of two figures."""
    first = version_of(played(world, *((100, {"1": 0.9}),) * 3))
    second = version_of(played(world, *((100, {"1": 0.6}),) * 3))
    release_version(user=world.lead, version_id=first.pk)
    with pytest.raises(GatesFailed, match=r"−30\.0 points against v1"):
        release_version(user=world.lead, version_id=second.pk)
    assert not judge_version(version=second)[0].figures["is_paired"]


def test_going_back_is_not_held_up(world: World) -> None:
    first = version_of(played(world, *((100, {"1": 0.6}),) * 3))
    release_version(user=world.lead, version_id=first.pk)
    second = version_of(played(world, *((100, {"reference": 0.6, "1": 0.9}),) * 3))
    release_version(user=world.lead, version_id=second.pk)
    back = release_version(user=world.lead, version_id=first.pk, reason="v2 is too slow")
    assert back.state == "released"
    retire_version(user=world.lead, version_id=second.pk)


def test_a_plan_without_gates_holds_nothing_up(world: World) -> None:
    version = version_of(played(world, *HARM, gates=Gates()))
    assert release_version(user=world.lead, version_id=version.pk).state == "released"
    assert not GateResult.objects.exists()


def test_a_run_that_goes_on_begins_with_the_base_itself(world: World) -> None:
    first = version_of(played(world, *((100, {"1": 0.8}),) * 3))
    run = played(world, *((100, {"base": 0.3, "0": 0.8}),) * 3, parent_version_id=first.pk)
    base = Evaluation.objects.filter(run_id=run.pk, round_number=BASE_ROUND)
    assert {one.correct for one in base} == {30}
    assert base.count() == 3
    assert {one.correct for one in Evaluation.objects.filter(run_id=run.pk, round_number=0)} == {80}


LIES = {
    "add up": {"confusion": ((0, 0, 1),)},
    "more right answers": {"correct": 11, "confusion": None, "paired": None},
    "does not have": {"confusion": ((0, 7, 10),)},
}


@pytest.mark.parametrize("said", LIES)
def test_figures_that_cannot_be_are_refused_and_change_nothing(world: World, said: str) -> None:
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    world.aggregate(run)
    site = world.sites[0]
    offer = world.lease(site)
    honest = measured(10, "0", rows(10, 0.5), None)
    lying = honest.model_copy(update={"name": "1", **LIES[said]})
    message = EvaluationIn(fence=offer.fence, results=(honest, lying))
    with pytest.raises(EvaluationInconsistent, match=said):
        services.submit_evaluation(agent=site.agent, task_id=offer.id, message=message)
    assert not Evaluation.objects.exists()
    assert run.rounds.get().tasks.get(pk=offer.id).state == "leased"


def test_an_agent_of_before_sends_figures_alone_and_gates_compare_those(world: World) -> None:
    plan = plan_of(count=1).model_copy(update={"gates": ASKED})
    run = world.start_run(plan)
    for site in world.sites:
        world.train(site)
    world.aggregate(run)
    for site in world.sites:
        world.evaluate(site, correct=5)
    services.advance_run(run_id=run.pk)
    assert not Tally.objects.exists()
    assert {one.verdict for one in GateResult.objects.all()} == {"pass"}


def test_the_api_tells_the_figures_of_what_holds_a_version_up(world: World) -> None:
    version = version_of(played(world, *HARM))
    client = browser(world.lead)
    answer = client.post(
        f"/api/v1/versions/{version.pk}/release",
        data={"reason": "now"},
        content_type="application/json",
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "gates_failed")
    assert "−40.0 points" in answer.json()["gates"][0]


def test_forgetting_is_judged_once_the_probe_has_been_measured(world: World) -> None:
    version = version_of(played(world, *HARM, gates=Gates(forgotten_at_most=0.1)))
    (before,) = GateResult.objects.all()
    assert (before.verdict, before.blocks) == ("unknown", True)
    probe = Probe.objects.create(
        federation=world.federation,
        number=1,
        artifact=version.adapter,
        form="labels",
        rows=10,
        statement="Ours.",
        licence="CC0-1.0",
        uploaded_by=world.lead,
    )
    Run.objects.update(probe=probe)
    plan = version.round.run.typed_plan
    start = version.round.run.start
    for adapter, loss, is_base in ((start, 10.0, True), (version.adapter, 15.0, False)):
        score = ask_score(probe=probe, adapter=adapter, plan=plan, about="it", is_base=is_base)
        found = EvaluationResult(name="probe", examples=10, correct=5, loss_sum=loss)
        record_score(score_id=score.pk, found=found, seconds=1.0)
    (after,) = GateResult.objects.all()
    assert (after.verdict, after.figures["value"]) == ("fail", pytest.approx(0.5))
    with pytest.raises(GatesFailed, match=r"The probe set: \+0\.500 against the base model"):
        release_version(user=world.lead, version_id=version.pk)
