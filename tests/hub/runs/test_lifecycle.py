from __future__ import annotations

import pytest

from federation.plan import Aggregation, Plan, PromptTuning, SequenceClassification
from hub.catalogue.blobs.artifacts import adopt_bytes
from hub.common.errors import IllegalTransition, NotFound
from hub.common.models import Event, OutboxMessage
from hub.contributions.models import ContributionFact
from hub.dispatch import Job
from hub.runs import services
from hub.runs.errors import PlanRefused, RoundFrozen
from hub.runs.models import Round, Run, Task, Update
from hub.runs.services.fitting import check_fit
from tests.factories.accounts import UserFactory
from tests.hub.runs.world import World, plan_of


def test_a_run_goes_from_draft_to_completed_and_leaves_a_version_a_round(world: World) -> None:
    run = world.start_run()
    world.play_round(run)
    world.play_round(run)
    run.refresh_from_db()
    assert run.state == "completed"
    assert [r.state for r in run.rounds.all()] == ["closed", "closed"]
    assert [r.version.number for r in run.rounds.all()] == [1, 2]
    assert run.rounds.first().summary == "Closed with 3 of 3."
    second = run.rounds.get(number=2)
    assert second.start == run.rounds.get(number=1).version.adapter
    assert second.version.parent == run.rounds.get(number=1).version


def test_every_transition_left_one_event(world: World) -> None:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    steps = Event.objects.filter(subject_id=run.pk).exclude(from_state="")
    assert [(e.from_state, e.to_state) for e in steps] == [
        ("draft", "queued"),
        ("queued", "running"),
        ("running", "completed"),
    ]
    first = run.rounds.get()
    kinds = [e.kind for e in Event.objects.filter(subject_id=first.pk)]
    assert kinds == [
        "round.collecting",
        "round.aggregating",
        "round.evaluating",
        "round.closed",
    ]


def test_contributions_are_metered_with_the_version(world: World) -> None:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    facts = ContributionFact.objects.filter(round__run=run)
    assert facts.count() == 3
    assert {f.outcome for f in facts} == {"accepted"}
    assert sum(f.weight for f in facts) == pytest.approx(1.0)
    assert all(f.examples == 100 and f.bytes_down > 0 for f in facts)
    assert {f.bytes_up for f in facts} == {0}  # the hub knew these bytes


def test_starting_twice_is_starting_once(world: World) -> None:
    run = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="x", plan=plan_of()
    )
    services.start_run(user=world.lead, run_id=run.pk)
    services.start_run(user=world.lead, run_id=run.pk)
    assert OutboxMessage.objects.filter(job=Job.PREPARE_RUN).count() == 1
    services.run_prepared(run_id=run.pk, start=world.start())
    services.run_prepared(run_id=run.pk, start=world.start())
    assert run.rounds.count() == 1


def test_a_quorum_that_cannot_be_reached_is_refused_with_the_numbers(world: World) -> None:
    with pytest.raises(PlanRefused, match="quorum of 9 cannot be reached by 3"):
        world.start_run(plan_of(quorum=9))


def test_fedavg_with_unequal_ranks_is_refused(world: World) -> None:
    place = world.federation.participations.order_by("created_at").last()
    place.rank = 1
    place.save()
    plan = plan_of()
    plan = plan.model_copy(
        update={"aggregation": plan.aggregation.model_copy(update={"strategy": "fedavg"})}
    )
    with pytest.raises(PlanRefused, match=r"needs rank 2 of all.*\[1, 2\]"):
        world.start_run(plan)


def test_texts_longer_than_the_base_model_reads_are_refused(world: World) -> None:
    config = adopt_bytes(content=b'{"max_position_embeddings": 128}')
    world.federation.base_model.files.create(path="config.json", artifact=config)
    with pytest.raises(PlanRefused, match="reads 128 tokens at most, not 200"):
        world.start_run(Plan(task=SequenceClassification(labels=("a", "b"), max_tokens=200)))
    assert world.start_run(Plan(task=SequenceClassification(labels=("a", "b"), max_tokens=128)))


def test_learnt_tokens_take_room_of_the_text(world: World) -> None:
    config = adopt_bytes(content=b'{"max_position_embeddings": 128}')
    world.federation.base_model.files.create(path="config.json", artifact=config)
    parts = {
        "adapter": PromptTuning(virtual_tokens=16),
        "aggregation": Aggregation(strategy="fedavg"),
    }
    task = SequenceClassification(labels=("a", "b"), max_tokens=112)
    longer = task.model_copy(update={"max_tokens": 113})
    with pytest.raises(PlanRefused, match=r"128 tokens at most, not 129 \(16 learnt and 113 of"):
        check_fit(Plan(task=longer, **parts), world.federation.base_model)
    check_fit(Plan(task=task, **parts), world.federation.base_model)


def test_a_stranger_can_neither_see_nor_touch_a_run(world: World) -> None:
    run = world.start_run()
    carol = UserFactory()
    for act in (services.pause_run, services.resume_run, services.cancel_run, services.start_run):
        with pytest.raises(NotFound):
            act(user=carol, run_id=run.pk)
    run.refresh_from_db()
    assert run.state == "running"


def test_pausing_stops_the_leases_and_resuming_moves_the_deadline(world: World) -> None:
    run = world.start_run()
    deadline = run.rounds.get().deadline_at
    services.pause_run(user=world.lead, run_id=run.pk)
    services.pause_run(user=world.lead, run_id=run.pk)
    assert world.sites[0].lease(world.federation) is None
    services.resume_run(user=world.lead, run_id=run.pk)
    services.resume_run(user=world.lead, run_id=run.pk)
    assert world.sites[0].lease(world.federation) is not None
    assert run.rounds.get().deadline_at > deadline


def test_cancelling_withdraws_all_tasks_and_fails_the_round(world: World) -> None:
    run = world.start_run()
    world.lease(world.sites[0])
    services.cancel_run(user=world.lead, run_id=run.pk, reason="wrong data")
    services.cancel_run(user=world.lead, run_id=run.pk)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert set(run.rounds.get().tasks.values_list("state", flat=True)) == {"cancelled"}
    assert run.rounds.get().failure_code == "cancelled"


def test_a_round_that_is_being_aggregated_cannot_be_cancelled(world: World) -> None:
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    with pytest.raises(RoundFrozen):
        services.cancel_run(user=world.lead, run_id=run.pk)


@pytest.mark.parametrize("model", [Run, Round, Task, Update])
def test_every_state_has_a_way_in_and_final_states_none_out(model: type) -> None:
    table = model.transitions
    reachable = {model._meta.get_field("state").default}
    for _ in table:
        reachable |= {after for state in reachable for after in table[state]}
    assert reachable == set(table)
    assert any(not ways for ways in table.values())


def test_a_completed_run_cannot_be_paused(world: World) -> None:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    with pytest.raises(IllegalTransition):
        services.pause_run(user=world.lead, run_id=run.pk)
