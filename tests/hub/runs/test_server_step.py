"""What the server's optimiser remembers is the version's, and whoever goes on from it has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from federation.plan import Aggregation, Plan, Server
from federation.protocol import TaskOffer
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import ModelVersion
from hub.runs import services
from hub.runs.models import Round, Run
from jobs.aggregation import compute
from tests.hub.runs.world import Site, World, adapter_file, plan_of

CELLS = [
    ("fedavgm", "stack_svd"),
    ("diloco", "stack_svd"),
    ("fedavgm", "fedavg"),
    ("fedadagrad", "fedavg"),
    ("fedadam", "fedavg"),
    ("fedyogi", "fedavg"),
]


def plan_with(optimiser: str, strategy: str = "stack_svd", *, count: int) -> Plan:
    parts = {"server": Server(optimiser=optimiser), "aggregation": Aggregation(strategy=strategy)}
    return plan_of(count=count).model_copy(update=parts)


def by_turn(world: World) -> Callable[[int], None]:
    """Updates that depend on the turn, which is set by the function returned, not on the run."""
    turn = [0]

    def update_file(offer: TaskOffer, site: Site) -> object:
        seed = 10 * turn[0] + world.sites.index(site) + 1
        return adapter_file(world.folder, seed, rank=offer.spec.rank)

    world.update_file = update_file  # type: ignore[method-assign]
    return lambda now: turn.__setitem__(0, now)


def play(world: World, run: Run, turns: list[int]) -> ModelVersion:
    set_turn = by_turn(world)
    for turn in turns:
        set_turn(turn)
        world.play_round(run)
    run.refresh_from_db()
    assert run.state == "completed"
    version = run.rounds.order_by("-number")[0].version
    assert version is not None
    return version


@pytest.mark.parametrize(("optimiser", "strategy"), CELLS)
def test_going_on_from_a_version_is_as_if_the_run_had_gone_on(
    world: World, optimiser: str, strategy: str
) -> None:
    whole = play(world, world.start_run(plan_with(optimiser, strategy, count=3)), [1, 2, 3])
    first = play(world, world.start_run(plan_with(optimiser, strategy, count=1)), [1])
    rest = plan_with(optimiser, strategy, count=2)
    run = continued(world, rest, first)
    second = play(world, run, [2, 3])
    assert second.adapter_id == whole.adapter_id
    assert second.optimiser_state_id == whole.optimiser_state_id
    assert second.optimiser_state_id == second.report["state"] is not None
    assert store().local_path(second.optimiser_state_id).exists()


def continued(world: World, plan: Plan, version: ModelVersion) -> Run:
    run = services.create_run(
        user=world.lead,
        federation_id=world.federation.pk,
        name="Going on",
        plan=plan,
        parent_version_id=version.pk,
    )
    services.start_run(user=world.lead, run_id=run.pk)
    services.run_prepared(run_id=run.pk, start=version.adapter)
    run.refresh_from_db()
    return run


def test_another_optimiser_begins_anew(world: World) -> None:
    first = play(world, world.start_run(plan_with("fedavgm", count=1)), [1])
    going_on = continued(world, plan_with("diloco", count=1), first)
    assert services.remembered(going_on.rounds.get()) is None
    services.cancel_run(user=world.lead, run_id=going_on.pk)
    same = continued(world, plan_with("fedavgm", count=1), first)
    assert services.remembered(same.rounds.get()) == first.optimiser_state_id


def test_without_an_optimiser_nothing_is_remembered(world: World) -> None:
    version = play(world, world.start_run(plan_of(count=1)), [1])
    assert version.optimiser_state is None
    assert version.report["state"] is None


def test_aggregating_again_remembers_the_same(world: World, tmp_path) -> None:
    run = world.start_run(plan_with("fedavgm", count=2))
    set_turn = by_turn(world)
    set_turn(1)
    world.play_round(run)
    set_turn(2)
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    current = Round.objects.get(run=run, number=2)
    claim = services.claim_aggregation(round_id=current.pk)
    assert claim is not None
    reports = [compute(claim, tmp_path / f"a{i}", tmp_path / f"s{i}") for i in range(2)]
    assert reports[0].digest == reports[1].digest
    assert reports[0].state == reports[1].state is not None
