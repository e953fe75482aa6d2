from __future__ import annotations

from itertools import product
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from federation.compatibility import MATRIX
from federation.plan import Aggregation, Plan, Server
from federation.terms import TERMS
from hub.common.errors import Invalid, NotFound
from hub.common.models import Event, OutboxMessage
from hub.dispatch import Job
from hub.runs import services
from hub.runs.errors import RoundOpen
from hub.runs.methods import key_of, variations
from hub.runs.models import Recomputation, Round, Run, Update
from hub.runs.selectors import methods_for
from jobs.compute import recompute_round
from tests.hub.runs.world import World, make_world, plan_of


@pytest.fixture
def closed(world: World) -> Run:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    return run


def only(run: Run) -> Round:
    return run.rounds.select_related("run", "version").get()


def work() -> None:
    """What was asked for is computed, each message twice."""
    for message in OutboxMessage.objects.filter(job=Job.RECOMPUTE_ROUND):
        recompute_round(*message.arguments)
        recompute_round(*message.arguments)


def ask(world: World, run: Run, *keys: str) -> list[Recomputation]:
    return services.recompute_round(user=world.lead, round_id=only(run).pk, keys=keys)


# ------------------------------------------------------------------ variations


@pytest.mark.parametrize(("mixed", "number"), list(product([False, True], [1, 2])))
@pytest.mark.parametrize("strategy", TERMS)
def test_every_variation_is_a_plan_whose_updates_are_those_of_the_round(
    strategy: str, mixed: bool, number: int
) -> None:
    plan = plan_of(quorum=2)
    plan = Plan.model_validate(
        {**plan.model_dump(), "aggregation": Aggregation(strategy=strategy).model_dump()}
    )
    found = variations(plan, round_number=number, updates=8, is_mixed=mixed)
    own, *others = found.values()
    assert own.is_own
    assert own.plan == plan
    assert not any(other.is_own for other in others)
    assert len({one.digest for one in found.values()}) == len(found)
    for one in others:
        named = one.plan.aggregation.strategy
        assert TERMS[named].travels(number) == TERMS[strategy].travels(number)
        assert TERMS[named].mixes_ranks or not mixed
        assert named in MATRIX


def test_what_so_few_updates_cannot_bear_is_not_offered() -> None:
    def names(updates: int) -> set[str]:
        return set(variations(plan_of(), round_number=1, updates=updates, is_mixed=False))

    assert "stack_svd krum" not in names(3)
    assert {"stack_svd krum", "stack_svd multi_krum", "fedavg"} <= names(12)
    assert "stack_svd bulyan near_median" in names(12)


def test_another_strategy_does_without_the_optimiser_s_memory() -> None:
    plan = plan_of().model_copy(update={"server": Server(optimiser="fedavgm")})
    found = variations(plan, round_number=1, updates=8, is_mixed=False)
    assert found["fedavg"].plan.server == Server()
    assert found["stack_svd geometric_median"].plan.server == plan.server


def test_a_key_says_what_is_not_plain() -> None:
    assert key_of(Aggregation()) == "stack_svd"
    assert key_of(Aggregation(strategy="fedavg", combination="median")) == "fedavg median"


# --------------------------------------------------------------------- replays


def test_a_replay_reproduces_the_digest(world: World, closed: Run) -> None:
    asked = services.replay_round(user=world.lead, round_id=only(closed).pk)
    work()
    asked.refresh_from_db()
    assert asked.state == "computed"
    assert asked.is_own
    assert asked.digest == only(closed).version.adapter_id
    event = Event.objects.get(kind="recomputation.computed")
    assert event.data["outcome"] == "the same bytes"


def test_a_replay_again_is_the_same_row_anew(world: World, closed: Run) -> None:
    first = services.replay_round(user=world.lead, round_id=only(closed).pk)
    work()
    first.refresh_from_db()
    again = services.replay_round(user=world.lead, round_id=only(closed).pk)
    assert (again.pk, again.state) == (first.pk, "queued")
    work()
    again.refresh_from_db()
    assert again.digest == first.digest
    assert again.ended_at > first.ended_at


def test_bytes_that_differ_are_said_to(world: World, closed: Run) -> None:
    services.replay_round(user=world.lead, round_id=only(closed).pk)
    Update.objects.filter(pk=Update.objects.first().pk).update(examples=9999)
    work()
    assert Recomputation.objects.get().digest != only(closed).version.adapter_id
    event = Event.objects.get(kind="recomputation.computed")
    assert event.data["outcome"] == "other bytes than were published"


def test_a_later_round_is_replayed_from_where_it_started(world: World) -> None:
    plan = plan_of(count=2).model_copy(update={"server": Server(optimiser="fedavgm")})
    run = world.start_run(plan)
    world.play_round(run)
    world.play_round(run)
    for one in run.rounds.all():
        services.replay_round(user=world.lead, round_id=one.pk)
    work()
    found = Recomputation.objects.select_related("round__version")
    assert [one.digest for one in found] == [one.round.version.adapter_id for one in found]


def test_the_command_says_how_it_came_out(world: World, closed: Run, capsys) -> None:
    round_id = only(closed).pk
    with pytest.raises(CommandError, match="no worker"):
        call_command("replay_round", str(round_id), "--wait", "0")
    work()
    call_command("replay_round", str(round_id), "--last")
    assert "reproduced" in capsys.readouterr().out.lower()
    Recomputation.objects.update(digest="f" * 64)
    with pytest.raises(CommandError, match="differs"):
        call_command("replay_round", str(round_id), "--last")


# --------------------------------------------------------------------- compare


def test_methods_are_compared_without_publishing_anything(world: World, closed: Run) -> None:
    versions = world.federation.versions.count()
    keys = list(methods_for(only(closed)))
    assert len(keys) > 3
    ask(world, closed, *keys)
    work()
    rows = Recomputation.objects.all()
    assert {row.key for row in rows} == set(keys)
    assert {row.state for row in rows} == {"computed"}
    assert world.federation.versions.count() == versions
    for row in rows:
        assert row.size_bytes > 0
        assert row.report.keys() == {
            "relative_error",
            "discarded_energy",
            "ranks",
            "weights",
            "seconds",
        }


def test_asked_twice_it_is_computed_once(world: World, closed: Run) -> None:
    (first,) = ask(world, closed, "fedavg")
    ask(world, closed, "fedavg", "fedavg")
    assert OutboxMessage.objects.filter(job=Job.RECOMPUTE_ROUND).count() == 1
    work()
    ask(world, closed, "fedavg")
    assert OutboxMessage.objects.filter(job=Job.RECOMPUTE_ROUND).count() == 1
    assert Recomputation.objects.get() == first


def test_what_a_method_refuses_is_kept_with_its_reason(world: World, closed: Run) -> None:
    (row,) = ask(world, closed, "fedavg")
    Update.objects.filter(pk=Update.objects.first().pk).update(rank=1)
    recompute_round(str(row.pk))
    row.refresh_from_db()
    assert row.state == "failed"
    assert row.failure_code
    Update.objects.update(rank=2)
    ask(world, closed, "fedavg")
    row.refresh_from_db()
    assert row.state == "queued"


def test_a_method_that_kills_its_workers_is_given_up(world: World, closed: Run) -> None:
    (row,) = ask(world, closed, "fedavg")
    for _ in range(5):
        assert services.begin_recomputation(recomputation_id=row.pk) is not None
    assert services.begin_recomputation(recomputation_id=row.pk) is None
    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "gave_up")


def test_an_unknown_method_is_refused_with_the_known_ones(world: World, closed: Run) -> None:
    with pytest.raises(Invalid, match="stack_svd"):
        ask(world, closed, "magic")


def test_only_a_closed_round_is_computed_again(world: World) -> None:
    run = world.start_run()
    with pytest.raises(RoundOpen):
        services.replay_round(user=world.lead, round_id=only(run).pk)


def test_strangers_have_nothing_computed(world: World, closed: Run) -> None:
    stranger = make_world(world.folder).lead
    with pytest.raises(NotFound):
        services.replay_round(user=stranger, round_id=only(closed).pk)
    with pytest.raises(NotFound):
        services.replay_round(user=stranger, round_id=uuid4())


def test_what_was_lost_is_asked_for_again_in_the_end(world: World, closed: Run) -> None:
    ask(world, closed, "fedavg")
    OutboxMessage.objects.all().delete()
    services.reconcile()
    assert not OutboxMessage.objects.filter(job=Job.RECOMPUTE_ROUND).exists()
    Recomputation.objects.update(state_changed_at="2020-01-01T00:00Z")
    services.reconcile()
    assert OutboxMessage.objects.filter(job=Job.RECOMPUTE_ROUND).count() == 1
