"""A world whose base model is real, if tiny, so that a worker can measure its adapters."""

from __future__ import annotations

import json
import random
from pathlib import Path

from safetensors.torch import load_file

from federation.modelling import Examples, train
from federation.plan import Evaluation, Plan, Rounds
from federation.protocol import TaskOffer
from federation.tensors import write_adapter
from hub.catalogue.bases.registering import register_base_model
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.blobs.storage import store
from hub.catalogue.evaluation.probes import add_probe
from hub.catalogue.models import Artifact, Probe
from hub.common.models import OutboxMessage
from hub.dispatch import Job
from jobs.compute import measure_on_probe
from tests.agent import tiny
from tests.hub.runs.world import Site, World, make_world

STATEMENT = "Made up by the lead; nobody's words are in it."


def lines(rows: int = 30, *, seed: int = 11) -> bytes:
    """Labelled texts that no site trains on, one JSON object in each line."""
    dice = random.Random(seed)
    rows_of = []
    for number in range(rows):
        label = tiny.LABELS[number % len(tiny.LABELS)]
        text = " ".join(dice.choices(tiny.WORDS[label], k=6))
        rows_of.append(json.dumps({"text": f"{text} {number}", "label": label}))
    return "\n".join(rows_of).encode()


def plan_of(**changes: object) -> Plan:
    plan = tiny.plan(max_steps=8)
    parts = {"rounds": Rounds(count=1, quorum=2), "evaluation": Evaluation(every="never")}
    return plan.model_copy(update={**parts, **changes})


class ProbedWorld(World):
    """Sites that really train, on texts of their own; `liars` say how one bends what it learnt."""

    base: Path
    liars: dict[int, str]

    def start(self) -> Artifact:
        path = tiny.make_adapter(self.base, self.folder / "start.safetensors")
        return adopt_file(path=path, federation=self.federation)

    def add_probe(self, content: bytes | None = None) -> Probe:
        return add_probe(
            user=self.lead,
            federation_id=self.federation.pk,
            content=content or lines(),
            statement=STATEMENT,
            licence="CC0-1.0",
        )

    def update_file(self, offer: TaskOffer, site: Site) -> Path:
        place = self.sites.index(site)
        start = store().local_path(offer.spec.start.sha256)
        target = self.folder / f"trained-{offer.round}-{place}.safetensors"
        lie = self.liars.get(place, "")
        train(
            base=self.base,
            plan=offer.spec.plan,
            start=start,
            target=target,
            rank=offer.spec.rank,
            seed=place,
            examples=texts(place, turn=1 if lie == "labels" else 0),
            on_step=lambda _: None,
            device="cpu",
        )
        if lie == "sign":
            _flip(start, target)
        return target

    def measure(self) -> None:
        """Do what a compute worker would with the messages of this kind."""
        for message in OutboxMessage.objects.filter(job=Job.MEASURE_ON_PROBE):
            measure_on_probe(*message.arguments)


def texts(place: int, *, turn: int = 0) -> Examples:
    """A site's own texts; with a `turn`, each under the label of another kind."""
    dice = random.Random(place)
    kinds = [number % 3 for number in range(36)]
    found = [" ".join(dice.choices(tiny.WORDS[tiny.LABELS[kind]], k=5)) for kind in kinds]
    return Examples(found, labels=[tiny.LABELS[(kind + turn) % 3] for kind in kinds])


def _flip(start: Path, trained: Path) -> None:
    """Go the other way: the head moves against what was learnt, and so do the factors B."""
    before, after = load_file(start), load_file(trained)
    bent = {
        name: value if "lora_A" in name else 2 * before[name] - value
        for name, value in after.items()
    }
    bent |= {name: before[name] for name in bent if "lora_A" in name}
    write_adapter(trained, sorted(bent.items()))


def make_probed(folder: Path, *, members: int = 4) -> ProbedWorld:
    made = make_world(folder, members=members)
    base = tiny.make_base(folder / "tiny")
    model = register_base_model(folder=base, slug="tiny", name="Tiny", licence="Apache-2.0")
    made.federation.base_model = model
    made.federation.save(update_fields=["base_model"])
    world = ProbedWorld(made.federation, made.lead, made.sites, made.folder)
    world.base, world.liars = base, {}
    return world
