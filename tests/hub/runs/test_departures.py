"""Who leaves, is suspended or votes: what becomes of runs, rounds and leases."""

from __future__ import annotations

import pytest
from django.db.models import QuerySet
from django.urls import reverse

from federation.plan_rewards import Rewards
from federation.plan_valuation import ValuationSpec
from federation.protocol import HeartbeatIn, Progress, Verdict
from hub.accounts.models import User
from hub.catalogue.models import ModelVersion
from hub.common.errors import Invalid
from hub.federations.errors import FederationDissolved
from hub.federations.leaving import leave, stay
from hub.federations.models import Participation, ParticipationState
from hub.federations.policies import Policy
from hub.federations.proposals.acts import dissolve, lock_place, suspend
from hub.federations.proposals.services import propose
from hub.runs import services
from hub.runs.departures import Departure
from hub.runs.errors import TaskOver, VoteNeeded
from hub.runs.models import Run, RunState, Task
from jobs.compute import recompute_round
from jobs.coordination import end_runs, end_work
from tests.factories.organisations import MembershipFactory
from tests.hub.runs.world import Site, World, make_world, plan_of
from tests.pages import browser, words

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(settings, tmp_path) -> World:
    settings.BLOB_FOLDER = tmp_path / "blobs"
    return make_world(tmp_path)


def place_of(world: World, site: Site) -> Participation:
    return world.federation.participations.get(organisation=site.agent.organisation)


def owner_of(site: Site) -> User:
    return MembershipFactory(organisation=site.agent.organisation).user


def beat(site: Site, offer) -> Verdict:
    message = HeartbeatIn(fence=offer.fence, progress=Progress(phase="training", step=1))
    return services.heartbeat(agent=site.agent, task_id=offer.id, message=message).verdict


def leaves(world: World, site: Site, **how: bool) -> Participation:
    place = place_of(world, site)
    return leave(user=owner_of(site), participation_id=place.pk, **how)


def open_tasks(place: Participation) -> QuerySet[Task]:
    return Task.objects.filter(participation=place, state__in=("queued", "leased"))


def test_who_leaves_at_once_loses_its_lease_with_the_next_request(world: World) -> None:
    run = world.start_run(plan_of(quorum=2))
    gone = world.sites[2]
    offer = world.lease(gone)
    path = world.update_file(offer, gone)
    message = world.statement(gone, offer, path)
    place = leaves(world, gone)
    assert beat(gone, offer) == Verdict.CANCEL
    with pytest.raises(Exception, match="takes no part"):
        services.submit_update(agent=gone.agent, task_id=offer.id, message=message)
    assert gone.lease(world.federation) is None
    for _ in range(2):
        end_work(str(place.pk))
    assert not open_tasks(place).exists()
    with pytest.raises(TaskOver):
        services.submit_update(agent=gone.agent, task_id=offer.id, message=message)
    for site in world.sites[:2]:
        world.train(site)
    world.aggregate(run)
    closed = run.rounds.get(number=1)
    assert closed.version is not None


def test_who_wishes_to_leave_after_the_round_finishes_it_and_gets_no_other(world: World) -> None:
    run = world.start_run(plan_of(count=2, quorum=2))
    going = world.sites[2]
    for _ in range(2):
        place = leaves(world, going, after_round=True)
    assert place.state == ParticipationState.ACTIVE
    services.end_what_is_due()
    place.refresh_from_db()
    assert place.state == ParticipationState.ACTIVE
    world.play_round(run)
    assert run.rounds.get(number=2).tasks.count() == 2
    for _ in range(2):
        services.end_what_is_due()
    place.refresh_from_db()
    assert (place.state, place.leaving_since) == (ParticipationState.LEFT, None)
    assert run.rounds.get(number=1).updates.filter(participation=place, state="accepted").exists()


def test_who_is_in_no_round_is_gone_with_the_next_sweep_unless_it_stays(world: World) -> None:
    going, thinking = world.sites[1:]
    leaves(world, going, after_round=True)
    place = leaves(world, thinking, after_round=True)
    for _ in range(2):
        stay(user=owner_of(thinking), participation_id=place.pk)
    services.end_what_is_due()
    states = [place_of(world, site).state for site in (going, thinking)]
    assert states == [ParticipationState.LEFT, ParticipationState.ACTIVE]


def test_who_is_suspended_gets_no_tasks_and_the_round_goes_on(world: World) -> None:
    world.start_run()
    held, waiting = world.sites[1:]
    offer = world.lease(held)
    for site in (held, waiting):
        place = place_of(world, site)
        suspend(participation_id=place.pk, actor=world.lead.actor, reason="")
        end_work(str(place.pk))
    assert beat(held, offer) == Verdict.CANCEL
    assert waiting.lease(world.federation) is None
    failed = Task.objects.filter(failure_code="not_taking_part")
    assert failed.count() == 2


def test_a_dissolved_federation_s_runs_are_cancelled_one_by_one(world: World) -> None:
    running = world.start_run()
    draft = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="Another", plan=plan_of()
    )
    offer = world.lease(world.sites[0])
    dissolve(federation=world.federation, actor=world.lead.actor, reason="done")
    with pytest.raises(FederationDissolved):
        services.start_run(user=world.lead, run_id=draft.pk)
    for _ in range(2):
        end_runs(str(world.federation.pk))
    states = set(Run.objects.values_list("state", flat=True))
    assert states == {RunState.CANCELLED}
    assert beat(world.sites[0], offer) == Verdict.CANCEL
    with pytest.raises(FederationDissolved):
        world.start_run()
    assert running.rounds.get().state == "failed"


def test_a_round_that_is_being_aggregated_ends_before_its_federation_s_run(world: World) -> None:
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    run.rounds.update(state="aggregating")
    dissolve(federation=world.federation, actor=world.lead.actor, reason="done")
    end_runs(str(world.federation.pk))
    run.refresh_from_db()
    assert run.state == RunState.RUNNING
    run.rounds.update(state="evaluating")
    services.end_what_is_due()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED


def costly(world: World) -> Run:
    valued = {"rewards": Rewards(budget=1000), "valuation": ValuationSpec(method="leave_one_out")}
    plan = plan_of().model_copy(update=valued)
    return services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="Costly", plan=plan
    )


def test_a_run_above_the_budget_starts_when_the_members_agree(world: World) -> None:
    world.federation.policy = Policy(credits_without_vote=999, led=("run",)).model_dump(mode="json")
    world.federation.save(update_fields=["policy"])
    run = costly(world)
    with pytest.raises(VoteNeeded):
        services.start_run(user=world.lead, run_id=run.pk)
    for _ in range(2):
        made = propose(
            user=world.lead,
            federation_id=world.federation.pk,
            kind="run",
            terms={"run": str(run.pk)},
            reason="worth it",
        )
        run.refresh_from_db()
        if made.state == "accepted":
            break
    assert (made.state, run.state) == ("accepted", RunState.QUEUED)
    assert made.terms["credits"] == 1000
    with pytest.raises(Exception, match="queued"):
        propose(
            user=world.lead,
            federation_id=world.federation.pk,
            kind="run",
            terms={"run": str(run.pk)},
            reason="again",
        )


def two_rounds(world: World) -> Run:
    """Two rounds, of which one site trained in the second alone."""
    run = world.start_run(plan_of(count=2, quorum=2))
    for site in world.sites[:2]:
        world.train(site)
    late = place_of(world, world.sites[2])
    services.fail_task(
        agent=world.sites[2].agent,
        task_id=(offer := world.lease(world.sites[2])).id,
        message=failure(offer.fence),
    )
    world.aggregate(run)
    for site in world.sites:
        world.evaluate(site)
    services.advance_run(run_id=run.pk)
    assert late.state == ParticipationState.ACTIVE
    world.play_round(run)
    return run


def failure(fence: int):
    from federation.protocol import FailureIn

    return FailureIn(fence=fence, code="out_of_memory", detail="", retry=False)


def test_the_page_lists_what_holds_a_contribution_and_what_can_be_done(
    world: World, django_assert_max_num_queries
) -> None:
    run = two_rounds(world)
    first, second = ModelVersion.objects.order_by("number")
    both, late = (place_of(world, world.sites[place]) for place in (0, 2))
    assert list(Departure(both).held) == [second, first]
    found = Departure(late)
    assert (list(found.held), found.clean) == ([second], first)
    (affected,) = found.affected
    assert (affected.round.number, affected.others) == (2, 2)
    assert affected.other_bytes > 0
    assert affected.seconds is not None
    client = browser(owner_of(world.sites[2]))
    with django_assert_max_num_queries(22):
        page = words(client.get(reverse("runs:departure", args=[late.pk])))
    assert "Leave at once" in page
    assert "version 1 , the newest one that holds nothing of it" in page
    assert (
        browser(MembershipFactory().user).get(reverse("runs:departure", args=[late.pk])).status_code
        == 404
    )
    assert run.rounds.count() == 2


def test_who_stays_drafts_a_run_that_is_free_of_it(world: World) -> None:
    two_rounds(world)
    first = ModelVersion.objects.get(number=1)
    late, leaver = place_of(world, world.sites[2]), owner_of(world.sites[2])
    page = reverse("runs:departure", args=[late.pk])
    address = f"{reverse('runs:new', args=[world.federation.slug])}?without={late.pk}"
    assert address not in browser(leaver).get(page).content.decode()
    assert address in browser(world.lead).get(page).content.decode()
    answer = browser(world.lead).get(address)
    form = answer.context["form"]
    others = {place_of(world, site).pk for site in world.sites[:2]}
    assert set(form["trainers"].initial) == set(form["trainers"].value()) == others
    assert form["parent"].value() == first.pk
    assert f"without {late.organisation.name}" in form["name"].value()
    assert f"what {late.organisation.name} has given" in words(answer)
    assert f'adapter=ia3&amp;without={late.pk}"' in answer.content.decode()
    both = place_of(world, world.sites[0])
    answer = browser(world.lead).get(address.replace(str(late.pk), str(both.pk)))
    assert not answer.context["form"]["parent"].value()
    for foreign in ("none", str(first.pk)):
        assert browser(world.lead).get(f"{address[:-36]}{foreign}").status_code == 200


def test_a_round_is_computed_without_one_whose_updates_counted(world: World) -> None:
    run = two_rounds(world)
    place = place_of(world, world.sites[2])
    first, second = run.rounds.order_by("number")
    asked = {"user": world.lead, "participation_id": place.pk}
    with pytest.raises(Invalid):
        services.recompute_without(round_id=first.pk, **asked)
    for _ in range(2):
        row = services.recompute_without(round_id=second.pk, **asked)
        recompute_round(str(row.pk))
    row.refresh_from_db()
    assert row.state == "computed"
    assert row.digest not in {"", second.version.adapter_id}
    assert set(row.report["weights"]) == {
        update.artifact_id for update in second.updates.exclude(participation=place)
    }
    assert second.recomputations.count() == 1
    (affected,) = Departure(place).affected
    assert affected.outcome == row
    assert ModelVersion.objects.count() == 2


def test_the_wish_to_leave_is_sent_from_the_page(world: World) -> None:
    world.start_run()
    site = world.sites[1]
    place = place_of(world, site)
    client = browser(owner_of(site))
    client.post(reverse("federations:leave", args=[place.pk]), {"when": "after_round"})
    page = words(client.get(reverse("runs:departure", args=[place.pk])))
    assert "It leaves after the present round." in page
    client.post(reverse("federations:stay", args=[place.pk]))
    assert lock_place(place.pk).leaving_since is None
    client.post(reverse("federations:leave", args=[place.pk]), {"when": "now"})
    place.refresh_from_db()
    assert place.state == ParticipationState.LEFT
