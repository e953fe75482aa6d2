"""A world whose sites send what a test says: changes of one matrix, in factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from federation.plan import Evaluation, Plan
from federation.tensors import write_adapter
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import Artifact
from hub.contributions.models import Case
from hub.runs import services
from hub.runs.models import Run, Update, UpdateState
from jobs.compute import aggregate_round, compare_updates, examine_round
from tests.hub.runs.world import HEAD, A, B, Site, World, make_world, plan_of
from tests.strategies import normal, seeded

WIDE = 2000

Sends = Callable[[int, "Conducted"], Mapping[str, Tensor]]  # for a round: what is sent


def plan(rounds: int, **changes: int | str) -> Plan:
    made = plan_of(count=rounds, quorum=2, **changes)
    return made.model_copy(update={"evaluation": Evaluation(every="never")})


class Conducted:
    """A run in which every site sends what it is told to; after each round it is examined."""

    def __init__(self, world: World, sends: Sequence[Sends], *, rounds: int = 3) -> None:
        self.world, self.sends = world, sends
        self.run: Run = world.start_run(plan(rounds))
        self.sent: list[list[Mapping[str, Tensor]]] = []

    def play(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            self._round()

    @property
    def start(self) -> Mapping[str, Tensor]:
        current = self.run.rounds.order_by("-number")[0]
        return load_file(store().local_path(current.start_id))

    def _round(self) -> None:
        number = len(self.sent) + 1
        self.sent.append([])
        offers = [self.world.lease(site) for site in self.world.sites]
        for site, offer, sends in zip(self.world.sites, offers, self.sends, strict=True):
            tensors = sends(number, self)
            self.sent[-1].append(tensors)
            path = self.world.folder / f"sent-{number}-{self.world.sites.index(site)}"
            write_adapter(path, sorted((name, one.float()) for name, one in tensors.items()))
            self.world.upload(site, offer, path)
            message = self.world.statement(site, offer, path)
            services.submit_update(agent=site.agent, task_id=offer.id, message=message)
        current = self.world.round_id(self.run)
        self.world.freeze(self.run)
        self._let_all_count()
        aggregate_round(str(current))
        examine_round(str(current))
        self.run.refresh_from_db()

    def _let_all_count(self) -> None:
        """A person finds nothing wrong with what was set aside."""
        for held in Update.objects.filter(round__run=self.run, state=UpdateState.QUARANTINED):
            services.judge_update(
                user=self.world.lead, update_id=held.pk, accept=True, reason="it is ours"
            )
        services.advance_run(run_id=self.run.pk)
        compare_updates(str(self.world.round_id(self.run)))

    def cases(self) -> set[tuple[str, tuple[int, ...]]]:
        """Each by its kind and the places of the sites that it is about."""
        places = [place_of(self.world, site) for site in self.world.sites]
        return {
            (case.kind, tuple(sorted(places.index(one) for one in case.participations)))
            for case in Case.objects.filter(run=self.run)
        }


class Wide(World):
    """Its adapters have room enough that chance looks like chance."""

    def start(self) -> Artifact:
        path = self.folder / "start"
        drawn = normal(seeded(3), 2, WIDE).float()
        tensors = {A: drawn, B: torch.zeros(4, 2), HEAD: torch.zeros(2, WIDE)}
        write_adapter(path, sorted(tensors.items()))
        return adopt_file(path=path)


def make_wide(folder: Path) -> World:
    made = make_world(folder, members=4)
    return Wide(made.federation, made.lead, made.sites, made.folder)


def place_of(world: World, site: Site) -> object:
    places = world.federation.participations
    return places.get(organisation=site.agent.organisation).pk


def honest(seed: int, *, spread: float = 0.6) -> Sends:
    """A step towards what all want, and something of one's own."""

    def sends(number: int, run: Conducted) -> Mapping[str, Tensor]:
        shared = normal(seeded(1), 2, WIDE) * 0.3
        own = normal(seeded(1000 * number + seed), 2, WIDE) * 0.3 * spread
        return moved(run.start, shared + own)

    return sends


def moved(start: Mapping[str, Tensor], change: Tensor) -> Mapping[str, Tensor]:
    """The start with a head that moved."""
    return {**start, HEAD: start[HEAD].double() + change}


def zero(number: int, run: Conducted) -> Mapping[str, Tensor]:
    return run.start


def noise(number: int, run: Conducted) -> Mapping[str, Tensor]:
    return moved(run.start, 0.3 * normal(seeded(77_000 + number), 2, WIDE))


def replay(number: int, run: Conducted) -> Mapping[str, Tensor]:
    """In the first round honest; later the change of that again."""
    return moved(run.start, normal(seeded(1), 2, WIDE) * 0.3 + normal(seeded(5), 2, WIDE) * 0.2)


def near_copy(of: int) -> Sends:
    """What another site sent in this round, with a little noise over it."""

    def sends(number: int, run: Conducted) -> Mapping[str, Tensor]:
        change = run.sent[-1][of][HEAD] - run.start[HEAD].double()
        drawn = normal(seeded(number), *change.shape)
        disguise = 0.03 * change.norm() * drawn / drawn.norm()
        return {**run.sent[-1][of], HEAD: run.sent[-1][of][HEAD] + disguise}

    return sends
