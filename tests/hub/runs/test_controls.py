"""SCAFFOLD on the hub: what the sites are told, what is remembered, and who begins anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from django.utils import timezone
from safetensors.torch import load_file

from federation.controls import Site as SiteFiles
from federation.controls import control_name
from federation.plan import Aggregation, Evaluation, Lora, Plan, Server, Training
from federation.plan_server import CONTROLLED
from federation.protocol import CONTROL_LOST, TaskOffer
from federation.rates import Rates
from federation.tensors import write_adapter
from federation.terms import TERMS
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import ModelVersion
from hub.catalogue.selectors import artifacts_visible_to
from hub.contributions.models import ContributionFact
from hub.runs import services
from hub.runs.errors import PlanRefused
from hub.runs.models import Round, Run, Update
from hub.runs.services.updates import statement_digest
from jobs.aggregation import compute
from jobs.compute import recompute_round
from tests.hub.runs.test_server_step import continued
from tests.hub.runs.world import Site, World, plan_of

STEPS = 7  # as the world's statements say


def controlled(strategy: str = "fedavg", *, count: int = 2, **rounds: object) -> Plan:
    parts = {
        "adapter": Lora(rank=2, alpha=4.0),
        "training": Training(optimiser="sgd", learning_rate=0.1, head_learning_rate=0.2),
        "aggregation": Aggregation(strategy=strategy),
        "server": Server(optimiser=CONTROLLED),
        "evaluation": Evaluation(every="never"),
    }
    return plan_of(count=count, **rounds).model_copy(update=parts)


class Sites:
    """Sites that remember: each moves its start almost as all do, and by its correction."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world, self.plan = world, plan
        self.kept: dict[str, Path] = {}  # by the digests of the statements
        self.offers: dict[int, TaskOffer] = {}
        self.turns = 0  # before the run
        self.trained = TERMS[plan.aggregation.strategy].trained
        world.update_file = self.update_file  # type: ignore[method-assign]

    def files(self, offer: TaskOffer) -> SiteFiles:
        start = store().local_path(offer.spec.start.sha256)
        told = offer.spec.control
        server = store().local_path(told.sha256) if told else None
        own = self.kept[offer.spec.control_after] if offer.spec.control_after else None
        return SiteFiles(start, self.trained, server, own)

    def update_file(self, offer: TaskOffer, site: Site) -> Path:
        index = self.world.sites.index(site)
        self.offers[index] = offer
        files, folder = self.files(offer), self.world.folder
        correction = folder / f"correction-{offer.id}"
        files.write_correction(correction)
        by = load_file(correction)
        travels = self.plan.aggregation.travels(offer.round)
        rates = Rates.of(self.plan.training)
        turn = offer.round + self.turns
        generator = torch.Generator().manual_seed(10 * turn + index)
        shared = torch.Generator().manual_seed(turn)
        moved = {}
        for name, value in load_file(files.start).items():
            if travels(name):
                own = 0.05 * torch.randn(value.shape, generator=generator)
                own += 0.2 * torch.randn(value.shape, generator=shared)
                moved[name] = value + own - rates.total(name, STEPS) * by[name]
        path = folder / f"update-{offer.id}"
        write_adapter(path, moved.items())
        return path

    def remember(self, run: Run, number: int) -> None:
        for update in Update.objects.filter(round__run=run, round__number=number):
            index = [site.agent for site in self.world.sites].index(update.agent)
            digest = statement_digest(update.statement)
            target = self.world.folder / f"control-{digest}"
            self.files(self.offers[index]).write_control(
                update=store().local_path(update.artifact_id),
                rank=2,
                codec="fp32",
                travels=self.plan.aggregation.travels(number),
                rates=Rates.of(self.plan.training),
                steps=STEPS,
                target=target,
            )
            self.kept[digest] = target

    def play(self, run: Run, *numbers: int, who: tuple[int, ...] = (0, 1, 2)) -> ModelVersion:
        for number in numbers:
            for index in who:
                self.world.train(self.world.sites[index])
            self.remember(run, number)
            if len(who) < len(self.world.sites):
                passed = timezone.now() - timedelta(minutes=1)
                Round.objects.filter(run=run, number=number).update(deadline_at=passed)
            self.world.aggregate(run)
        version = Round.objects.get(run=run, number=numbers[-1]).version
        assert version is not None
        return version


def control_of(version: ModelVersion) -> dict[str, torch.Tensor]:
    assert version.optimiser_state_id is not None
    return load_file(store().local_path(version.optimiser_state_id))


def assert_is_the_mean(sites: Sites, version: ModelVersion) -> None:
    """Of what the sites keep, those that have not taken part yet with zeros."""
    named = version.report["control_after"].values()
    kept = [load_file(sites.kept[digest]) for digest in named]
    for name, value in control_of(version).items():
        total = sum(one[name].double() for one in kept) / len(sites.world.sites)
        torch.testing.assert_close(value.double(), total, rtol=1e-4, atol=1e-5)


@pytest.fixture
def sites(world: World) -> Callable[..., Sites]:
    return lambda plan: Sites(world, plan)


@pytest.mark.parametrize("strategy", ["fedavg", "ffa", "rolora"])
def test_the_server_s_control_variate_is_the_mean_of_the_sites(world: World, sites, strategy):
    plan = controlled(strategy, count=3)
    run, all_of_them = world.start_run(plan), sites(plan)
    first = all_of_them.play(run, 1)
    assert {offer.spec.control for offer in all_of_them.offers.values()} == {None}
    assert_is_the_mean(all_of_them, first)
    trained = {control_name(n) for n in load_file(store().local_path(first.adapter_id))}
    assert set(control_of(first)) == {n for n in trained if strategy != "ffa" or "lora_A" not in n}
    for number in (2, 3):
        version = all_of_them.play(run, number)
        offer = all_of_them.offers[0]
        assert offer.spec.control.sha256 == version.parent.optimiser_state_id
        assert offer.spec.control_after in version.parent.report["control_after"].values()
        assert_is_the_mean(all_of_them, version)


def test_who_does_not_take_part_keeps_what_it_had(world: World, sites):
    plan = controlled(count=3, deadline_seconds=60)
    run, all_of_them = world.start_run(plan), sites(plan)
    all_of_them.play(run, 1, who=(0, 1))
    assert len(run.rounds.get(number=1).version.report["control_after"]) == 2
    before = all_of_them.play(run, 2)
    assert all_of_them.offers[2].spec.control_after is None
    after = all_of_them.play(run, 3, who=(0, 2))
    idle = str(
        world.federation.participations.get(organisation=world.sites[1].agent.organisation).pk
    )
    assert after.report["control_after"][idle] == before.report["control_after"][idle]
    for version in (before, after):
        assert_is_the_mean(all_of_them, version)


def test_the_sites_may_fetch_it_and_others_may_not(world: World, sites):
    plan = controlled(count=1)
    run = world.start_run(plan)
    version = sites(plan).play(run, 1)
    for site in world.sites:
        seen = artifacts_visible_to(site.agent)
        assert seen.filter(pk=version.optimiser_state_id).exists()


def test_going_on_from_a_version_is_as_if_the_run_had_gone_on(world: World, sites):
    plan = controlled(count=3)
    whole = sites(plan).play(world.start_run(plan), 1, 2, 3)
    rest = sites(plan)
    first = rest.play(world.start_run(controlled(count=1)), 1)
    going_on = continued(world, controlled(count=2), first)
    rest.turns = 1
    second = rest.play(going_on, 1, 2)
    assert second.adapter_id == whole.adapter_id
    assert second.optimiser_state_id == whole.optimiser_state_id


def test_other_sites_begin_anew(world: World, sites):
    plan = controlled(count=1)
    first = sites(plan).play(world.start_run(plan), 1)
    going_on = continued(world, plan, first)
    assert services.remembered(going_on.rounds.get()) == first.optimiser_state_id
    Run.objects.filter(pk=going_on.pk).update(trainers=going_on.trainers[:2])
    assert services.remembered(Round.objects.get(run=going_on)) is None


def test_after_a_loss_all_begin_anew(world: World, sites):
    plan = controlled(count=3)
    run, all_of_them = world.start_run(plan), sites(plan)
    all_of_them.play(run, 1)
    world.train(world.sites[0], metrics={"loss": 0.5, CONTROL_LOST: 1.0})
    for site in world.sites[1:]:
        world.train(site)
    world.aggregate(run)
    second = Round.objects.get(run=run, number=2).version
    assert second.report["control_after"] == {}
    assert not any(value.any() for value in control_of(second).values())
    third = all_of_them.play(run, 3)
    assert {offer.spec.control_after for offer in all_of_them.offers.values()} == {None}
    assert_is_the_mean(all_of_them, third)
    lost = world.sites[0].agent.organisation.name
    said = f"{lost} had lost its control variate, so all begin anew with theirs."
    assert Round.objects.get(run=run, number=2).summary == f"Closed with 3 of 3. {said}"


def test_each_counts_as_one(world: World, sites):
    plan = controlled(count=1)
    run = world.start_run(plan)
    sites(plan)
    for number, site in enumerate(world.sites, 1):
        world.train(site, examples=1000 * number)
    world.aggregate(run)
    version = Round.objects.get(run=run).version
    assert {entry["weight"] for entry in version.contributors} == {1 / 3}


def test_what_a_site_downloads_is_metered(world: World, sites):
    plan = controlled(count=2)
    run = world.start_run(plan)
    all_of_them = sites(plan)
    first, second = all_of_them.play(run, 1), all_of_them.play(run, 2)
    start, state = first.adapter.size_bytes, first.optimiser_state.size_bytes
    rows = ContributionFact.objects.filter(round__run=run).order_by("round__number")
    assert [row.bytes_down for row in rows] == [start] * 3 + [start + state] * 3
    assert second.parent == first


def test_a_replay_gives_the_same_bytes_and_notices_another_memory(world: World, sites):
    plan = controlled(count=2)
    run = world.start_run(plan)
    second = sites(plan).play(run, 1, 2)
    replay = services.replay_round(round_id=second.round.pk)
    recompute_round(str(replay.pk))
    replay.refresh_from_db()
    assert (replay.state, replay.digest) == ("computed", second.adapter_id)
    services.replay_round(round_id=second.round.pk)
    services.record_recomputation(
        recomputation_id=replay.pk,
        digest=second.adapter_id,
        size_bytes=second.adapter.size_bytes,
        report={**second.report, "state": second.parent.optimiser_state_id},
    )
    replay.refresh_from_db()
    assert (replay.state, replay.failure_code) == ("failed", "state_differs")


def test_computed_twice_it_is_the_same(world: World, sites, tmp_path):
    plan = controlled(count=2)
    run, all_of_them = world.start_run(plan), sites(plan)
    all_of_them.play(run, 1)
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    claim = services.claim_aggregation(round_id=Round.objects.get(run=run, number=2).pk)
    assert claim is not None
    reports = [compute(claim, tmp_path / f"a{i}", tmp_path / f"s{i}") for i in range(2)]
    assert reports[0].digest == reports[1].digest
    assert reports[0].state == reports[1].state


def test_ranks_that_differ_are_refused_with_the_numbers(world: World):
    world.federation.participations.filter(organisation=world.sites[1].agent.organisation).update(
        rank=1
    )
    with pytest.raises(
        PlanRefused, match=r"needs rank 2 of all, these organisations have \[1, 2\]"
    ):
        world.start_run(controlled())
