"""Coded updates at the hub: judged by what they decode to, refused for whatever else they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from federation.codings import codecs, encode_update
from federation.plan import Evaluation, Plan, Transfer
from federation.protocol import TaskOffer
from federation.tensors import cut_rank
from hub.catalogue.blobs.storage import store
from hub.runs import services
from hub.runs.errors import UpdateRefused
from hub.runs.models import Update
from tests.hub.runs.world import HEAD, Site, World, adapter_file, plan_of


def coded(codec: str) -> Plan:
    changes = {"transfer": Transfer(codec=codec), "evaluation": Evaluation(every="never")}
    return plan_of(count=1).model_copy(update=changes)


def sent_file(world: World, offer: TaskOffer, seed: int) -> Path:
    """What an agent sends of a whole training, by the plan's codec."""
    trained = adapter_file(world.folder, seed, rank=offer.spec.rank)
    codec = offer.spec.plan.transfer.codec
    if codec == "fp32":
        return trained
    start, target = world.folder / "start", world.folder / f"{codec}-{seed}"
    cut_rank(store().local_path(offer.spec.start.sha256), offer.spec.rank, start)
    encode_update(start=start, update=trained, codec=codec, target=target)
    return target


def submit(world: World, site: Site, offer: TaskOffer, path: Path) -> None:
    world.upload(site, offer, path)
    message = world.statement(site, offer, path)
    services.submit_update(agent=site.agent, task_id=offer.id, message=message)


def outcome(world: World, codec: str) -> dict[str, torch.Tensor]:
    """The adapter that one round of three sites ends with."""
    run = world.start_run(coded(codec))
    for number, site in enumerate(world.sites):
        offer = world.lease(site)
        submit(world, site, offer, sent_file(world, offer, seed=10 + number))
    world.aggregate(run)
    return load_file(store().local_path(run.rounds.get().version.adapter_id))


def dense(adapter: dict[str, torch.Tensor]) -> torch.Tensor:
    names = sorted(name for name in adapter if "lora" in name)
    a, b = (adapter[name] for name in names)
    return torch.cat([(b @ a).flatten(), adapter[HEAD].flatten()])


@pytest.mark.parametrize("codec", sorted(codecs))
def test_a_round_of_coded_updates_ends_like_one_of_plain_ones(world: World, codec: str) -> None:
    exact, found = dense(outcome(world, "fp32")), dense(outcome(world, codec))
    tolerance = {"bf16": 0.005, "int8": 0.02, "nf4": 0.2}[codec]
    assert 0 < (found - exact).norm() < tolerance * exact.norm()
    sizes = {u.artifact.size_bytes for u in Update.objects.filter(round__run__name="First steps")}
    assert len(sizes) == 2  # the coded ones are of another length, and all of the same


def test_weights_are_refused_where_the_plan_wants_a_change(world: World) -> None:
    world.start_run(coded("int8"))
    offer = world.lease(world.sites[0])
    plain = adapter_file(world.folder, 5, rank=offer.spec.rank)
    with pytest.raises(UpdateRefused) as refused:
        submit(world, world.sites[0], offer, plain)
    assert refused.value.code == "codec_mismatch"


def test_scales_that_are_not_finite_are_rejected(world: World) -> None:
    run = world.start_run(coded("nf4"))
    offer = world.lease(world.sites[0])
    path = sent_file(world, offer, seed=5)
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    tensors[f"{HEAD}.scales"][0] = float("nan")
    save_file(tensors, path, metadata={"codec": "nf4", "holds": "change"})
    submit(world, world.sites[0], offer, path)
    world.judge(run)
    update = Update.objects.get()
    assert (update.state, update.verdict_code) == ("rejected", "non_finite")


def test_the_norm_is_that_of_the_decoded_update(world: World) -> None:
    norms = []
    for codec in ("fp32", "int8"):
        run = world.start_run(coded(codec))
        offer = world.lease(world.sites[0])
        submit(world, world.sites[0], offer, sent_file(world, offer, seed=7))
        world.judge(run)
        norms.append(Update.objects.get(round__run=run).norm)
        services.cancel_run(user=world.lead, run_id=run.pk, reason="seen")
    assert norms[1] == pytest.approx(norms[0], rel=0.02)
    assert norms[1] != norms[0]
