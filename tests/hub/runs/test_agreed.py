from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from federation.plan import Plan
from hub.common.actors import HUB
from hub.federations.charters.services import change_policy
from hub.federations.policies import Policy
from hub.runs import services
from hub.runs.errors import AgainstPolicy, VoteNeeded
from hub.runs.models import Purpose, Run
from hub.runs.services.lifecycle import begin
from hub.runs.services.locks import lock_run
from tests.hub.notices.happening import at_once
from tests.hub.runs.world import World, make_world, plan_of
from tests.pages import browser, words

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    return make_world(tmp_path, members=2)


def agree(world: World, **rules: object) -> None:
    change_policy(federation=world.federation, policy=Policy(**rules), actor=HUB)


def draft(world: World, plan: Plan, **options: object) -> Run:
    return services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="First", plan=plan, **options
    )


def changed(**parts: object) -> Plan:
    return Plan.model_validate({**plan_of().model_dump(), **parts})


def promising(budget: int) -> Plan:
    return changed(valuation={"method": "leave_one_out"}, rewards={"budget": budget})


BROKEN = [
    ({"minimum_participants": 3}, plan_of(), "At least 3 organisations train in a run, not 2."),
    (
        {"minimum_participants": 2},
        plan_of(quorum=1),
        "A round closes with 2 updates or more: the quorum is 1.",
    ),
    (
        {"strategies": ("fedavg", "fedex")},
        plan_of(),
        "Runs aggregate by fedavg or fedex, not by stack_svd.",
    ),
    (
        {"must_commit": True},
        plan_of(),
        "Organisations commit to their updates before they send them: give them time to.",
    ),
    (
        {"may_attribute": False},
        changed(transfer={"attributable": True}),
        "Members may not tell single updates apart.",
    ),
    ({"valuation": ("exact",)}, plan_of(), "Contributions are valued by exact."),
]


@pytest.mark.parametrize(("rules", "plan", "sentence"), BROKEN)
def test_a_plan_against_a_rule_is_refused_when_drafted(world: World, rules, plan, sentence) -> None:
    agree(world, **rules)
    with pytest.raises(AgainstPolicy) as refused:
        draft(world, plan)
    assert sentence in refused.value.extra["reasons"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(("rules", "plan", "sentence"), BROKEN)
def test_what_was_agreed_after_a_draft_counts_when_it_starts(
    world: World, rules, plan, sentence
) -> None:
    run = draft(world, plan)
    agree(world, **rules)
    with pytest.raises(AgainstPolicy) as refused:
        services.start_run(user=world.lead, run_id=run.pk)
    assert sentence in refused.value.extra["reasons"]


def test_a_plan_within_all_rules_starts(world: World) -> None:
    agree(
        world,
        minimum_participants=2,
        strategies=("stack_svd",),
        must_commit=True,
        may_attribute=False,
        valuation=("leave_one_out",),
        credits_without_vote=10,
    )
    plan = changed(
        rounds={"count": 1, "quorum": 2, "commit_seconds": 60},
        valuation={"method": "leave_one_out"},
        rewards={"budget": 10},
    )
    run = draft(world, plan)
    assert services.start_run(user=world.lead, run_id=run.pk).state == "queued"


def test_a_comparison_is_of_one_and_keeps_to_what_is_about_one(world: World) -> None:
    agree(world, minimum_participants=2, strategies=("fedavg",), may_attribute=False)
    alone = [world.federation.participations.first().pk]
    plan = plan_of(quorum=1)
    assert draft(world, plan, purpose=Purpose.SOLO, trainers=alone).trainers == alone
    with pytest.raises(AgainstPolicy):
        draft(world, plan, purpose=Purpose.SOLO)  # several who call themselves one


def test_credits_above_the_agreed_number_are_voted_on(world: World) -> None:
    agree(world, credits_without_vote=100)
    small, large = draft(world, promising(100)), draft(world, promising(101))
    assert services.start_run(user=world.lead, run_id=small.pk).state == "queued"
    with pytest.raises(VoteNeeded) as refused:
        services.start_run(user=world.lead, run_id=large.pk)
    assert refused.value.extra == {"kind": "run", "terms": {"run": str(large.pk)}}
    told = words(browser(world.lead).get(f"/runs/{large.pk}"))
    assert "Propose to start it" in told
    voted = lock_run(large.pk)
    begin(voted, actor=HUB)
    assert voted.state == "queued"


def test_all_runs_of_a_period_share_its_credits(world: World) -> None:
    agree(world, credits_in_period=100, period_days=30)
    first, second, third = (draft(world, promising(budget)) for budget in (60, 40, 1))
    for run in (first, first, second):  # started twice, it counts once
        assert services.start_run(user=world.lead, run_id=run.pk).state == "queued"
    with pytest.raises(AgainstPolicy) as refused:
        services.start_run(user=world.lead, run_id=third.pk)
    assert refused.value.extra["reasons"] == ["0 credits are left for these 30 days."]
    assert lock_run(third.pk).state == "draft"
    services.start_run(user=world.lead, run_id=draft(world, plan_of()).pk)  # splits none
    long_ago = timezone.now() - timedelta(days=31)
    Run.objects.filter(pk=first.pk).update(state="completed", started_at=long_ago)
    assert services.start_run(user=world.lead, run_id=third.pk).state == "queued"


@pytest.mark.django_db(transaction=True)
def test_of_runs_that_begin_at_once_no_two_take_the_same_credits(world: World) -> None:
    agree(world, credits_in_period=100)
    runs = [draft(world, promising(60)) for _ in range(4)]
    told: list[str] = []
    at_once(len(runs), lambda: told.append(_started(world, runs.pop())))
    assert sorted(told) == ["queued", "refused", "refused", "refused"]


def _started(world: World, run: Run) -> str:
    try:
        return services.start_run(user=world.lead, run_id=run.pk).state
    except AgainstPolicy:
        return "refused"
