from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from django.db import connection
from django.utils import timezone

from federation.engine import Method, aggregate
from federation.protocol import TaskOffer
from federation.tensors import write_adapter
from hub.catalogue.blobs.storage import store
from hub.common.models import OutboxMessage
from hub.dispatch import Job
from hub.runs import services
from hub.runs.errors import StaleClaim
from hub.runs.models import Comparison, Round, Run, Update
from jobs.aggregation import weighted
from jobs.comparison import compare_claimed
from jobs.compute import aggregate_round, compare_updates
from tests.hub.runs.world import HEAD, A, B, Site, World, make_world, plan_of


class Crooked(World):
    """Sites that learn nearly the same; `liars` say how one bends what it learnt."""

    liars: dict[int, float]

    def update_file(self, offer: TaskOffer, site: Site) -> Path:
        place = self.sites.index(site)
        common = torch.Generator().manual_seed(offer.round)
        own = torch.Generator().manual_seed(100 * offer.round + place)
        bend = self.liars.get(place, 1.0)
        path = self.folder / f"crooked-{offer.round}-{place}-{bend}.safetensors"
        start = torch.Generator().manual_seed(0)
        a = torch.randn(2, 4, generator=start)
        head = torch.randn(2, 4, generator=start)  # as in the start
        b = torch.randn(4, 2, generator=common) + 0.5 * torch.randn(4, 2, generator=own)
        write_adapter(path, sorted({A: a, B: bend * b, HEAD: head}.items()))
        return path


@pytest.fixture
def crooked(db: None, tmp_path: Path) -> Crooked:
    return make_crooked(tmp_path)


def make_crooked(folder: Path) -> Crooked:
    made = make_world(folder, members=4)
    world = Crooked(made.federation, made.lead, made.sites, made.folder)
    world.liars = {}
    return world


def collected(world: World, **rounds: int | str) -> Run:
    """All have delivered and have their own verdict."""
    run = world.start_run(plan_of(**rounds))
    for site in world.sites:
        world.train(site)
    world.judge(run)
    services.advance_run(run_id=run.pk)
    return run


def compare(world: World, run: Run) -> Round:
    compare_updates(str(world.round_id(run)))
    return run.rounds.get()


def held_of(world: World) -> Update:
    return Update.objects.select_related("participation__organisation").get(state="quarantined")


def test_a_round_is_frozen_once_its_updates_are_compared(world: World) -> None:
    run = collected(world)
    assert run.rounds.get().state == "collecting"
    first = compare(world, run)
    assert first.state == "aggregating"
    assert (first.attempts, first.claimed_until) == (0, None)
    assert first.comparison.digests == [entry["sha256"] for entry in first.frozen]


def test_however_often_it_is_advanced_it_waits_for_the_comparison(world: World) -> None:
    run = collected(world)
    for _ in range(3):
        services.advance_run(run_id=run.pk)
    assert run.rounds.get().state == "collecting"
    compare(world, run)
    compare(world, run)
    services.advance_run(run_id=run.pk)
    assert Comparison.objects.count() == 1
    assert OutboxMessage.objects.filter(job=Job.AGGREGATE_ROUND).count() == 1


def test_honest_updates_stay_accepted(crooked: Crooked) -> None:
    first = compare(crooked, collected(crooked))
    assert first.state == "aggregating"
    assert len(first.frozen) == 4
    assert not Update.objects.exclude(evidence={}).exists()


def test_the_aggregation_takes_what_was_measured_and_makes_the_same_bytes(
    world: World, tmp_path: Path
) -> None:
    run = collected(world)
    compare(world, run)
    claim = services.claim_aggregation(round_id=world.round_id(run))
    assert claim is not None
    assert claim.evidence is not None
    anew = aggregate(
        start=store().local_path(claim.start),
        updates=[weighted(update, claim.plan) for update in claim.updates],
        method=Method.of(claim.plan, 1),
        target=tmp_path / "anew",
    )
    Round.objects.update(claimed_until=None)
    aggregate_round(str(claim.round_id))
    version = run.rounds.get().version
    assert version is not None
    assert version.adapter_id == anew.digest
    assert version.report["cosines"] == anew.cosines


def test_products_go_through_the_database_unchanged(world: World) -> None:
    run = collected(world)
    claim = services.claim_comparison(round_id=world.round_id(run))
    assert claim is not None
    compare_claimed(claim)
    from federation.engine import evidence_of

    anew = evidence_of(
        start=store().local_path(claim.start),
        updates=[weighted(update, claim.plan) for update in claim.updates],
        scale=claim.plan.adapter.scale,
    )
    assert Comparison.objects.get().evidence == anew


@pytest.mark.parametrize(
    ("bend", "code"), [(-1.0, "against_others"), (300.0, "norm_outlier"), (0.0, "suspect_zero")]
)
def test_what_looks_wrong_to_its_peers_is_set_aside_with_evidence(
    crooked: Crooked, bend: float, code: str
) -> None:
    crooked.liars = {2: bend}
    run = collected(crooked)
    assert compare(crooked, run).state == "collecting"
    odd = held_of(crooked)
    assert odd.participation.organisation == crooked.sites[2].agent.organisation
    assert odd.verdict_code == code
    names = {"norm", "usual_norm", "cosine_to_others", "agreement", "nearest"}
    assert names <= odd.evidence.keys()
    assert json.loads(json.dumps(odd.evidence)) == odd.evidence


def test_a_copy_is_set_aside_and_says_of_whom(crooked: Crooked) -> None:
    run = crooked.start_run()
    for site in crooked.sites[:3]:
        crooked.train(site)
    copier, offer = crooked.sites[3], crooked.lease(crooked.sites[3])
    path = crooked.update_file(offer, crooked.sites[1])
    copied = bytearray(path.read_bytes())
    copied[-4] ^= 1
    path = path.with_name("copied")
    path.write_bytes(copied)
    crooked.upload(copier, offer, path)
    message = crooked.statement(copier, offer, path)
    services.submit_update(agent=copier.agent, task_id=offer.id, message=message)
    crooked.freeze(run)
    odd = held_of(crooked)
    assert odd.verdict_code == "copied_update"
    assert odd.evidence["nearest"]["organisation"] == crooked.sites[1].agent.organisation.name


def test_accepted_by_a_person_it_is_not_set_aside_again(crooked: Crooked) -> None:
    crooked.liars = {2: -1.0}
    run = collected(crooked)
    compare(crooked, run)
    odd = held_of(crooked)
    services.judge_update(user=crooked.lead, update_id=odd.pk, accept=True, reason="a new ward")
    services.advance_run(run_id=run.pk)
    first = compare(crooked, run)
    assert first.state == "aggregating"
    assert len(first.frozen) == len(first.comparison.digests) == 4


def test_rejected_by_a_person_the_others_are_compared_without_it(crooked: Crooked) -> None:
    crooked.liars = {2: -1.0}
    run = collected(crooked)
    compare(crooked, run)
    odd = held_of(crooked)
    services.judge_update(user=crooked.lead, update_id=odd.pk, accept=False, reason="a mistake")
    services.advance_run(run_id=run.pk)
    first = compare(crooked, run)
    assert first.state == "aggregating"
    assert odd.artifact_id not in first.comparison.digests
    assert len(first.comparison.digests) == 3


def test_without_a_decision_it_waits_until_the_deadline_and_is_then_left_out(
    crooked: Crooked,
) -> None:
    crooked.liars = {2: -1.0}
    run = collected(crooked)
    compare(crooked, run)
    assert compare(crooked, run).state == "collecting"  # the three that are left are compared
    services.advance_run(run_id=run.pk)
    assert run.rounds.get().state == "collecting"
    Round.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    services.advance_run(run_id=run.pk)
    first = run.rounds.get()
    assert (first.state, len(first.frozen)) == ("aggregating", 3)


def test_a_flag_at_the_deadline_leaves_a_person_time_to_decide(crooked: Crooked) -> None:
    """The deadline passes, the updates are compared, and only then it shows that one is odd."""
    crooked.liars = {2: -1.0}
    run = collected(crooked)
    Round.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    compare(crooked, run)
    first = compare(crooked, run)
    assert first.state == "collecting"
    left = (first.deadline_at - timezone.now()).total_seconds()
    assert 280 < left <= 300
    odd = held_of(crooked)
    services.judge_update(user=crooked.lead, update_id=odd.pk, accept=True, reason="it is right")
    services.advance_run(run_id=run.pk)
    assert len(compare(crooked, run).frozen) == 4


def test_a_plan_may_give_no_time(crooked: Crooked) -> None:
    crooked.liars = {2: -1.0}
    run = collected(crooked, quarantine_grace_seconds=0)
    Round.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    compare(crooked, run)
    first = compare(crooked, run)
    assert (first.state, len(first.frozen)) == ("aggregating", 3)


def test_a_flag_long_before_the_deadline_leaves_it_where_it_is(crooked: Crooked) -> None:
    crooked.liars = {2: -1.0}
    run = collected(crooked)
    deadline = run.rounds.get().deadline_at
    assert compare(crooked, run).deadline_at == deadline


def test_where_the_plan_leaves_out_nobody_is_waited_for(crooked: Crooked) -> None:
    crooked.liars = {2: -1.0}
    run = collected(crooked, quarantine="leave_out")
    compare(crooked, run)
    first = compare(crooked, run)
    assert (first.state, len(first.frozen)) == ("aggregating", 3)


def test_where_the_quorum_needs_it_a_person_is_waited_for_all_the_same(crooked: Crooked) -> None:
    crooked.liars = {2: -1.0}
    run = collected(crooked, quarantine="leave_out", quorum=4)
    compare(crooked, run)
    assert compare(crooked, run).state == "collecting"
    run.refresh_from_db()
    assert run.state == "running"


def test_a_lost_message_is_made_up_for(world: World) -> None:
    run = collected(world)
    OutboxMessage.objects.all().delete()
    services.reconcile()
    assert OutboxMessage.objects.get().job == Job.ADVANCE_RUN
    services.advance_run(run_id=run.pk)
    assert OutboxMessage.objects.filter(job=Job.COMPARE_UPDATES).count() == 1


def test_an_overtaken_worker_records_nothing(world: World) -> None:
    run = collected(world)
    slow = services.claim_comparison(round_id=world.round_id(run))
    assert slow is not None
    assert services.claim_comparison(round_id=slow.round_id) is None
    Round.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert services.claim_comparison(round_id=slow.round_id) is not None
    with pytest.raises(StaleClaim):
        compare_claimed(slow)
    assert not Comparison.objects.exists()


def test_a_comparison_that_kills_its_workers_fails_after_five_tries(world: World) -> None:
    run = collected(world)
    for _ in range(5):
        assert services.claim_comparison(round_id=world.round_id(run)) is not None
        Round.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert services.claim_comparison(round_id=world.round_id(run)) is None
    run.refresh_from_db()
    assert (run.state, run.failure_code) == ("failed", "gave_up")


def test_a_paused_run_compares_when_it_goes_on(world: World) -> None:
    run = collected(world)
    services.pause_run(user=world.lead, run_id=run.pk)
    compare(world, run)
    assert not Comparison.objects.exists()
    services.resume_run(user=world.lead, run_id=run.pk)
    services.advance_run(run_id=run.pk)
    assert compare(world, run).state == "aggregating"


def test_what_changed_meanwhile_is_compared_anew(world: World) -> None:
    run = collected(world)
    claim = services.claim_comparison(round_id=world.round_id(run))
    assert claim is not None
    Update.objects.filter(pk=claim.updates[0].pk).update(state="rejected")
    compare_claimed(claim)
    assert run.rounds.get().state == "collecting"
    assert not Comparison.objects.exists()
    assert len(compare(world, run).frozen) == 2


@pytest.mark.django_db(transaction=True)
def test_many_workers_and_coordinators_freeze_once(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    run = collected(world)
    round_id = str(world.round_id(run))

    def work() -> None:
        compare_updates(round_id)
        services.advance_run(run_id=run.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert run.rounds.get().state == "aggregating"
    assert OutboxMessage.objects.filter(job=Job.AGGREGATE_ROUND).count() == 1
