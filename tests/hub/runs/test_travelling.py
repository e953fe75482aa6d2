"""Runs under which only one factor of each pair travels, at the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from federation.layout import lora_factor, read_layout
from federation.plan import Aggregation, Evaluation, Lora, Plan
from federation.protocol import TaskOffer
from federation.stacked import masked, shares_of
from federation.terms import TERMS
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import ModelVersion
from hub.runs import services
from hub.runs.errors import PlanRefused, UpdateRefused
from hub.runs.models import Run
from jobs.preparation import starting_adapter
from jobs.stacking import write
from tests.hub.runs.world import HEAD, A, B, Site, World, adapter_file, plan_of


def turning(strategy: str = "rolora", rank: int = 2) -> Plan:
    changes = {
        "aggregation": Aggregation.model_validate({"strategy": strategy, "clip": 1e9}),
        "evaluation": Evaluation(every="never"),
        "adapter": Lora(rank=rank, alpha=4.0),
    }
    return plan_of(count=2).model_copy(update=changes)


def half(world: World, offer: TaskOffer, seed: int, factor: str) -> Path:
    path = adapter_file(world.folder, seed, rank=offer.spec.rank)
    tensors = {
        name: tensor.clone()
        for name, tensor in load_file(path).items()
        if lora_factor(name) in {factor, None}
    }
    save_file(tensors, path, metadata={"format": "pt"})
    return path


def submit(world: World, site: Site, offer: TaskOffer, path: Path) -> None:
    world.upload(site, offer, path)
    message = world.statement(site, offer, path)
    services.submit_update(agent=site.agent, task_id=offer.id, message=message)


def play(world: World, run: Run, factor: str, seed: int) -> tuple[dict[str, torch.Tensor], ...]:
    """One round in which all send this factor; the adapter before and after."""
    current = run.rounds.order_by("number").last()
    for number, site in enumerate(world.sites):
        offer = world.lease(site)
        submit(world, site, offer, half(world, offer, seed + number, factor))
    world.aggregate(run)
    current.refresh_from_db()
    before = load_file(store().local_path(current.start_id))
    return before, load_file(store().local_path(current.version.adapter_id))


def test_the_factors_take_turns_and_the_other_one_stays(world: World) -> None:
    run = world.start_run(turning())
    for number, factor in ((1, "B"), (2, "A")):
        before, after = play(world, run, factor, seed=10 * number)
        for name in before:
            stayed = lora_factor(name) not in {factor, None}
            assert torch.equal(before[name], after[name]) == stayed, (number, name)


def test_a_whole_adapter_or_the_other_half_is_refused_when_it_is_announced(world: World) -> None:
    world.start_run(turning())
    site, refusals = world.sites[0], []
    offer = world.lease(site)
    whole = adapter_file(world.folder, 5, rank=offer.spec.rank)
    for path in (whole, half(world, offer, 6, "A")):
        with pytest.raises(UpdateRefused) as refused:
            submit(world, site, offer, path)
        refusals.append(refused.value.code)
    assert refusals == ["extra_tensor", "missing_tensor"]


@pytest.mark.parametrize("strategy", sorted(TERMS))
@pytest.mark.parametrize("ranks", [(1, 2, 2), (1, 1, 1)])
def test_ranks_below_the_plan_s_are_refused_where_they_cannot_be_mixed(
    world: World, strategy: str, ranks: tuple[int, ...]
) -> None:
    places = world.federation.participations.order_by("created_at")
    for place, place.rank in zip(places, ranks, strict=True):
        place.save(update_fields=["rank"])
    if TERMS[strategy].mixes_ranks:
        assert world.start_run(turning(strategy))
        return
    with pytest.raises(PlanRefused, match=f"{strategy} needs rank 2 of all"):
        world.start_run(turning(strategy))


def test_fedsb_keeps_its_state_and_publishes_plain_lora(world: World) -> None:
    """The next round starts from three factors; what is loaded by others has two."""
    middle = B.replace("lora_B", "lora_R")
    run = services.create_run(
        user=world.lead,
        federation_id=world.federation.pk,
        name="Small",
        plan=turning("fedsb"),
    )
    services.start_run(user=world.lead, run_id=run.pk)
    state = load_file(adapter_file(world.folder, 1)) | {middle: torch.zeros(2, 2)}
    begin = world.folder / "fedsb-start"
    save_file(state, begin, metadata={"format": "pt"})
    services.run_prepared(run_id=run.pk, start=adopt_file(path=begin))
    for number, site in enumerate(world.sites):
        sent = world.folder / f"fedsb-{number}"
        tensors = {middle: torch.full((2, 2), number + 1.0), HEAD: state[HEAD] + number}
        save_file(tensors, sent, metadata={"format": "pt"})
        submit(world, site, world.lease(site), sent)
    world.aggregate(run)
    version = run.rounds.get(number=1).version
    held = load_file(store().local_path(version.adapter_id))
    files = {file.path: file.artifact_id for file in version.files.all()}
    published = load_file(store().local_path(files["adapter_model.safetensors"]))
    assert run.rounds.get(number=2).start_id == version.adapter_id
    assert set(held) == {A, B, HEAD, middle}
    assert set(published) == {A, B, HEAD}
    torch.testing.assert_close(published[B] @ published[A], held[B] @ held[middle] @ held[A])
    assert held[middle].any()


def fedex_version(world: World) -> ModelVersion:
    """What one round of fedex with three sites ends with."""
    run = world.start_run(turning("fedex"))
    for number, site in enumerate(world.sites):
        path = adapter_file(world.folder, 40 + number)
        submit(world, site, world.lease(site), path)
    world.aggregate(run)
    services.cancel_run(user=world.lead, run_id=run.pk, reason="enough")
    return run.rounds.get(number=1).version


def test_fedex_publishes_one_pair_of_a_larger_rank(world: World) -> None:
    version = fedex_version(world)
    held = load_file(store().local_path(version.adapter_id))
    files = {file.path: file.artifact_id for file in version.files.all()}
    published = load_file(store().local_path(files["adapter_model.safetensors"]))
    config = json.loads(store().local_path(files["adapter_config.json"]).read_text())
    module = A.removesuffix(".lora_A.weight")
    a, b = (held[f"{module}.residual_{factor}.weight"] for factor in "AB")
    assert published[A].shape == (6, 4)  # 2, and (3 - 1) * 2 as far as the module has room: 4
    torch.testing.assert_close(published[B] @ published[A], held[B] @ held[A] + b @ a)
    assert (config["r"], config["lora_alpha"]) == (6, 12.0)


def test_a_run_goes_on_from_what_its_strategy_can_use(world: World) -> None:
    version = fedex_version(world)
    published = version.files.get(path="adapter_model.safetensors").artifact
    cases = {("fedex", 2): version.adapter, ("stack_svd", 6): published, ("ffa", 6): published}
    for (strategy, rank), expected in cases.items():
        assert starting_adapter(draft(world, version, turning(strategy, rank))) == expected
    with pytest.raises(ValueError, match="is of rank 6, and the plan of rank 2"):
        starting_adapter(draft(world, version, turning("stack_svd", 2)))
    with pytest.raises(ValueError, match="fedsb needs factors that stay as they are"):
        starting_adapter(draft(world, version, turning("fedsb")))


def draft(world: World, version: ModelVersion, plan: Plan) -> Run:
    return services.create_run(
        user=world.lead,
        federation_id=world.federation.pk,
        name="Going on",
        plan=plan,
        parent_version_id=version.pk,
    )


@pytest.mark.parametrize("strategy", sorted(TERMS.keys() - {"fedavg", "fedsb"}))
def test_a_closed_round_can_be_taken_apart(world: World, strategy: str) -> None:
    """All of it is the exact change; what one organisation did is in its components alone."""
    run = world.start_run(turning(strategy))
    travels = run.typed_plan.aggregation.travels(1)
    for number, site in enumerate(world.sites):
        offer = world.lease(site)
        whole = load_file(adapter_file(world.folder, 60 + number))
        path = world.folder / f"sent-{strategy}-{number}"
        save_file({n: t for n, t in whole.items() if travels(n)}, path, metadata={"format": "pt"})
        submit(world, site, offer, path)
    world.aggregate(run)
    current = run.rounds.select_related("run", "version").get(number=1)
    stacked = world.folder / "stacked"
    assert write(current, stacked) == write(current, stacked)
    shares = shares_of(read_layout(stacked))
    assert {share.digest for share in shares} == set(current.version.report["weights"])
    masked(stacked, {share.digest for share in shares}, world.folder / "all")
    everything = load_file(world.folder / "all")
    held = load_file(store().local_path(current.version.adapter_id))
    torch.testing.assert_close(everything[HEAD], held[HEAD])
    files = {file.path: file.artifact_id for file in current.version.files.all()}
    published = load_file(store().local_path(files["adapter_model.safetensors"]))
    if current.version.report["relative_error"] < 1e-6:
        torch.testing.assert_close(everything[B] @ everything[A], published[B] @ published[A])
