from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.urls import reverse

from hub.catalogue.evaluation import scoring
from hub.catalogue.models import ProbeScore
from hub.common.models import Event, OutboxMessage
from hub.common.templatetags.foedus import signed
from hub.dispatch import Job
from hub.runs import services
from hub.runs.models import Comparison, Recomputation, Run, Update
from jobs.compute import aggregate_round, compare_updates, measure_on_probe, recompute_round
from tests.hub.runs.probed import ProbedWorld, lines, make_probed, plan_of
from tests.pages import browser, words


@pytest.fixture
def probed(db: None, tmp_path: Path) -> ProbedWorld:
    return make_probed(tmp_path)


def collected(world: ProbedWorld, **changes: object) -> Run:
    run = world.start_run(plan_of(**changes))
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    return run


def finished(world: ProbedWorld, **changes: object) -> Run:
    run = collected(world, **changes)
    aggregate_round(str(world.round_id(run)))
    run.refresh_from_db()
    return run


def scored(world: ProbedWorld) -> dict[str, ProbeScore]:
    return {score.about: score for score in ProbeScore.objects.all()}


# ---------------------------------------------------------------- versions


def test_a_run_s_start_and_its_versions_are_measured_on_the_set_it_started_with(
    probed: ProbedWorld,
) -> None:
    probe = probed.add_probe()
    run = finished(probed)
    probed.add_probe(lines(12, seed=3))
    assert run.probe == probe
    assert run.state == "completed"  # nothing waited for the measurements
    probed.measure()
    start, version = scored(probed)["the start of First steps"], scored(probed)["version 1"]
    assert (start.state, version.state) == ("computed", "computed")
    assert (start.is_base, version.is_base) == (True, False)
    assert start.examples == version.examples == 30
    assert version.loss_sum < start.loss_sum
    assert version.correct > start.correct


def test_measured_twice_it_is_one_row(probed: ProbedWorld) -> None:
    probed.add_probe()
    run = probed.start_run(plan_of())
    probed.measure()
    (first,) = ProbeScore.objects.all()
    probed.measure()
    services.probing.measure_start(run)
    (again,) = ProbeScore.objects.all()
    assert (again.ended_at, again.loss_sum) == (first.ended_at, first.loss_sum)
    assert OutboxMessage.objects.filter(job=Job.MEASURE_ON_PROBE).count() == 1
    assert Event.objects.filter(kind="score.computed").count() == 1


def test_a_run_that_goes_on_is_measured_beside_where_the_work_began(probed: ProbedWorld) -> None:
    probed.add_probe()
    first = finished(probed)
    newer = probed.add_probe(lines(12, seed=3))
    version = first.rounds.get().version
    run = services.create_run(
        user=probed.lead,
        federation_id=probed.federation.pk,
        name="Further",
        plan=plan_of(),
        parent_version_id=version.pk,
    )
    services.start_run(user=probed.lead, run_id=run.pk)
    services.run_prepared(run_id=run.pk, start=version.adapter)
    found = ProbeScore.objects.filter(probe=newer)
    assert {(s.adapter_id, s.is_base) for s in found} == {
        (version.adapter_id, False),
        (first.start_id, True),
    }


def test_a_set_that_the_plan_s_model_cannot_read_measures_nothing(probed: ProbedWorld) -> None:
    probed.add_probe(b'{"text": "wave", "label": "fire"}')
    run = probed.start_run(plan_of())
    assert run.probe is None
    assert not ProbeScore.objects.exists()
    page = words(browser(probed.lead).get(address(run)))
    assert "not measured on probe 1, since the plan does not list the label 'fire'" in page


def test_what_cannot_be_measured_says_why_and_can_be_tried_again(
    probed: ProbedWorld, settings
) -> None:
    settings.PROBE_SECONDS = -1.0
    probed.add_probe()
    run = probed.start_run(plan_of())
    probed.measure()
    score = ProbeScore.objects.get()
    assert (score.state, score.failure_code) == ("failed", "probe_timeout")
    assert "longer than" in Event.objects.get(kind="score.failed").reason
    settings.PROBE_SECONDS = 60.0
    services.probing.measure_start(run)
    measure_on_probe(str(score.pk))
    score.refresh_from_db()
    assert (score.state, score.failure_code) == ("computed", "")


def test_a_measurement_that_kills_its_workers_is_given_up(probed: ProbedWorld) -> None:
    probed.add_probe()
    probed.start_run(plan_of())
    score = ProbeScore.objects.get()
    for _ in range(scoring.MOST_ATTEMPTS):
        assert scoring.begin_score(score_id=score.pk) is not None
    measure_on_probe(str(score.pk))
    score.refresh_from_db()
    assert (score.state, score.failure_code) == ("failed", "gave_up")


def test_a_lost_message_is_made_up_for(probed: ProbedWorld) -> None:
    probed.add_probe()
    probed.start_run(plan_of())
    OutboxMessage.objects.all().delete()
    services.reconcile()
    assert not OutboxMessage.objects.filter(job=Job.MEASURE_ON_PROBE).exists()
    ProbeScore.objects.update(state_changed_at="2020-01-01T00:00Z")
    services.reconcile()
    assert OutboxMessage.objects.filter(job=Job.MEASURE_ON_PROBE).count() == 1


# ---------------------------------------------------------- single updates


@pytest.mark.parametrize("lie", ["sign", "labels"])
def test_an_update_that_harms_is_set_aside_with_what_it_does_to_the_loss(
    probed: ProbedWorld, lie: str
) -> None:
    probed.add_probe()
    probed.liars = {2: lie}
    collected(probed)
    (held,) = Update.objects.filter(state="quarantined")
    assert held.participation.organisation == probed.sites[2].agent.organisation
    assert held.verdict_code in {"worse_on_probe", "against_others"}
    assert held.evidence["probe"]["change"] > 0 > held.evidence["usual_loss_change"]


def test_honest_updates_are_measured_and_stay(probed: ProbedWorld) -> None:
    probed.add_probe()
    run = collected(probed)
    assert run.rounds.get().state == "aggregating"
    found = [update.evidence["probe"] for update in Update.objects.all()]
    assert len({one["start"] for one in found}) == 1
    assert all(one["change"] < 0 for one in found)
    assert Comparison.objects.get().probe_failure == ""


def test_what_is_held_already_is_measured_for_who_decides(probed: ProbedWorld) -> None:
    probed.add_probe()
    probed.liars = {2: "labels"}
    run = probed.start_run(plan_of())
    for site in probed.sites:
        probed.train(site)
    odd = Update.objects.get(participation__organisation=probed.sites[2].agent.organisation)
    services.record_verdict(update_id=odd.pk, verdict="quarantined", code="norm_outlier", norm=9.0)
    probed.freeze(run)
    odd.refresh_from_db()
    assert (odd.state, odd.verdict_code) == ("quarantined", "norm_outlier")
    assert odd.evidence["probe"]["change"] > 0
    assert Update.objects.filter(state="accepted").count() == 3


def test_what_takes_too_long_is_left_out_and_the_round_goes_on(
    probed: ProbedWorld, settings
) -> None:
    settings.PROBE_WAIT_SECONDS = -1.0
    probed.add_probe()
    run = collected(probed)
    assert run.rounds.get().state == "aggregating"
    assert Comparison.objects.get().probe_failure == "probe_timeout"
    assert not Update.objects.exclude(evidence={}).exists()


def test_a_comparison_that_died_twice_goes_on_without(probed: ProbedWorld) -> None:
    probed.add_probe()
    run = probed.start_run(plan_of())
    for site in probed.sites:
        probed.train(site)
    probed.judge(run)
    services.advance_run(run_id=run.pk)
    run.rounds.update(attempts=2)
    compare_updates(str(probed.round_id(run)))
    assert Comparison.objects.get().probe_failure == "gave_up"
    assert run.rounds.get().state == "aggregating"


# ------------------------------------------------------------------- pages


def test_pages_show_what_was_measured_beside_where_it_began(
    probed: ProbedWorld, django_assert_max_num_queries
) -> None:
    probed.add_probe()
    run = finished(probed)
    client = browser(probed.lead)
    version = run.rounds.get().version
    of_version, of_run = reverse("catalogue:version", args=[version.pk]), address(run)
    assert "This version Being measured" in words(client.get(of_version))
    probed.measure()
    for url in (of_version, of_run):
        with django_assert_max_num_queries(10):
            page = words(client.get(url))
        assert "On the public probe set" in page
        assert "Start of the run" in page
    start, after = (scored(probed)[about] for about in ("the start of First steps", "version 1"))
    assert f"{after.correct / 30:.1%}" in page
    assert f"{start.loss_sum / 30:.3f}" in page
    assert "Public probe set" in chart_series(client.get(of_run))


def test_a_page_says_why_something_was_not_measured(probed: ProbedWorld, settings) -> None:
    settings.PROBE_SECONDS = -1.0
    probed.add_probe()
    run = probed.start_run(plan_of())
    probed.measure()
    assert "Not measured: it took longer than" in words(browser(probed.lead).get(address(run)))


def test_a_run_without_a_set_shows_none(probed: ProbedWorld) -> None:
    run = probed.start_run(plan_of())
    assert "On the public probe set" not in words(browser(probed.lead).get(address(run)))


def test_the_round_shows_what_each_update_does_to_the_loss(
    probed: ProbedWorld, django_assert_max_num_queries
) -> None:
    probed.add_probe()
    probed.liars = {2: "labels"}
    run = collected(probed)
    client = browser(probed.lead)
    with django_assert_max_num_queries(10):
        page = words(client.get(reverse("runs:round", args=[probed.round_id(run)])))
    held = Update.objects.get(state="quarantined")
    for update in Update.objects.all():
        assert signed(update.evidence["probe"]["change"]) in page
    assert signed(held.evidence["usual_loss_change"]) in page


def test_methods_are_compared_by_what_they_achieve(
    probed: ProbedWorld, django_assert_max_num_queries
) -> None:
    probed.add_probe()
    run = finished(probed)
    probed.measure()
    current = run.rounds.get()
    keys = ["stack_svd", "fedavg"]
    for row in services.recompute_round(user=probed.lead, round_id=current.pk, keys=keys):
        recompute_round(str(row.pk))
    rows = {row.key: row for row in Recomputation.objects.all()}
    version = scored(probed)["version 1"]
    assert rows["stack_svd"].report["probe"]["loss_sum"] == pytest.approx(version.loss_sum)
    assert rows["fedavg"].report["probe"]["examples"] == 30
    client = browser(probed.lead)
    with django_assert_max_num_queries(10):
        page = words(client.get(reverse("runs:methods", args=[current.pk])))
    assert "Accuracy, probe set" in page
    assert f"{version.correct / 30:.1%} loss {version.loss_sum / 30:.3f}" in page


def test_a_result_that_cannot_be_measured_is_compared_all_the_same(
    probed: ProbedWorld, settings
) -> None:
    probed.add_probe()
    run = finished(probed)
    settings.PROBE_SECONDS = -1.0
    current = run.rounds.get()
    (row,) = services.recompute_round(user=probed.lead, round_id=current.pk, keys=["fedavg"])
    recompute_round(str(row.pk))
    row.refresh_from_db()
    assert (row.state, row.report["probe"]) == ("computed", {"failure": "probe_timeout"})
    page = words(browser(probed.lead).get(reverse("runs:methods", args=[current.pk])))
    assert "for methods that are computed from now on" in page


def address(run: Run) -> str:
    return reverse("runs:detail", args=[run.pk])


def chart_series(response: HttpResponse) -> str:
    found = re.search(r'id="measured-data"[^>]*>(.*?)</script>', response.content.decode())
    assert found
    return found[1]
