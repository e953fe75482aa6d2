"""A small world for the tests of runs: three organisations, an agent each, a tiny adapter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import torch

from federation.plan import Evaluation, Lora, Plan, Rounds, SequenceClassification, canonical
from federation.protocol import (
    EvaluationIn,
    EvaluationResult,
    Receipt,
    TaskOffer,
    UpdateIn,
    UpdateStatement,
    UploadIn,
)
from federation.signatures import sign_bytes
from federation.tensors import sha256_of, write_adapter
from hub.accounts.models import User
from hub.catalogue.blobs.artifacts import adopt_copy, adopt_file, grant
from hub.catalogue.models import Artifact
from hub.federations.models import Federation
from hub.organisations.models import Agent, Organisation
from hub.runs import services
from hub.runs.models import Run, Update
from jobs.compute import aggregate_round, compare_updates, validate_update
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import AgentFactory

A, B, HEAD = (
    "base_model.model.layer.lora_A.weight",
    "base_model.model.layer.lora_B.weight",
    "base_model.model.classifier.weight",
)


def plan_of(**rounds: int | str) -> Plan:
    return Plan(
        task=SequenceClassification(labels=("ham", "spam")),
        adapter=Lora(rank=2, alpha=4.0),
        rounds=Rounds(**{"count": 2, "quorum": 2, **rounds}),
        evaluation=Evaluation(every="round"),
    )


def adapter_file(folder: Path, seed: int, *, rank: int = 2, zero_b: bool = False) -> Path:
    """An adapter of one module and a head, the same for the same seed."""
    random = torch.Generator().manual_seed(seed)
    path = folder / f"adapter-{seed}-{rank}-{zero_b}.safetensors"
    b = torch.zeros(4, rank) if zero_b else torch.randn(4, rank, generator=random)
    tensors = {
        A: torch.randn(rank, 4, generator=random),
        B: b,
        HEAD: torch.randn(2, 4, generator=random),
    }
    write_adapter(path, sorted(tensors.items()))
    return path


@dataclass
class Site:
    """One organisation's agent with its key."""

    agent: Agent
    private_key: bytes

    def lease(self, federation: Federation) -> TaskOffer | None:
        return services.lease_task(agent=self.agent, federations=[federation.slug])


@dataclass
class World:
    federation: Federation
    lead: User
    sites: list[Site]
    folder: Path

    def start_run(self, plan: Plan | None = None, **options: object) -> Run:
        run = services.create_run(
            user=self.lead,
            federation_id=self.federation.pk,
            name="First steps",
            plan=plan or plan_of(),
            **options,
        )
        services.start_run(user=self.lead, run_id=run.pk)
        services.run_prepared(run_id=run.pk, start=self.start())
        run.refresh_from_db()
        return run

    def start(self) -> Artifact:
        return adopt_file(path=adapter_file(self.folder, 0, zero_b=True))

    def lease(self, site: Site) -> TaskOffer:
        offer = site.lease(self.federation)
        assert offer is not None, "nothing to lease"
        return offer

    def statement(self, site: Site, offer: TaskOffer, path: Path, **changes: object) -> UpdateIn:
        said = {
            "federation": offer.federation,
            "run": offer.run,
            "round": offer.round,
            "task": offer.id,
            "participation_rank": offer.spec.rank,
            "plan_digest": offer.spec.plan_digest,
            "start_sha256": offer.spec.start.sha256,
            "update_sha256": sha256_of(path),
            "size_bytes": path.stat().st_size,
            "examples": 100,
            "tokens": 1000,
            "steps": 7,
            "device_seconds": 1.5,
            "metrics": {"loss": 0.5},
            "key_id": site.agent.key_id,
            "made_at": datetime.now(UTC),
            **changes,
        }
        statement = UpdateStatement(**said)
        payload = canonical(statement.model_dump(mode="json"))
        signature = sign_bytes(site.private_key, "fl-update-v1", payload)
        return UpdateIn(fence=offer.fence, statement=statement, signature=signature)

    def update_file(self, offer: TaskOffer, site: Site) -> Path:
        seed = 10 * offer.round + self.sites.index(site) + 1
        return adapter_file(self.folder, seed, rank=offer.spec.rank)

    def upload(self, site: Site, offer: TaskOffer, path: Path) -> None:
        grant(artifacts=[adopt_copy(path=path)], federation=self.federation)  # so they are known
        message = UploadIn(
            fence=offer.fence, sha256=sha256_of(path), size_bytes=path.stat().st_size
        )
        services.begin_update_upload(agent=site.agent, task_id=offer.id, message=message)

    def train(self, site: Site, offer: TaskOffer | None = None, **changes: object) -> Receipt:
        """Lease, upload and submit."""
        offer = offer or self.lease(site)
        path = self.update_file(offer, site)
        self.upload(site, offer, path)
        message = self.statement(site, offer, path, **changes)
        return services.submit_update(agent=site.agent, task_id=offer.id, message=message)

    def evaluate(self, site: Site, correct: int = 5) -> None:
        offer = self.lease(site)
        results = tuple(
            EvaluationResult(name=c.name, examples=10, correct=correct, loss_sum=3.0)
            for c in offer.spec.candidates
        )
        message = EvaluationIn(fence=offer.fence, results=results)
        services.submit_evaluation(agent=site.agent, task_id=offer.id, message=message)

    def judge(self, run: Run) -> None:
        for pk in Update.objects.filter(round__run=run, state="received").values_list("pk"):
            validate_update(str(pk[0]))

    def play_round(self, run: Run) -> None:
        """All train, the hub aggregates, all evaluate."""
        for site in self.sites:
            self.train(site)
        self.aggregate(run)
        for site in self.sites:
            self.evaluate(site)
        services.advance_run(run_id=run.pk)

    def freeze(self, run: Run) -> None:
        """All verdicts, the comparison, and what follows from it."""
        self.judge(run)
        services.advance_run(run_id=run.pk)
        compare_updates(str(self.round_id(run)))

    def aggregate(self, run: Run) -> None:
        self.freeze(run)
        aggregate_round(str(self.round_id(run)))

    def round_id(self, run: Run) -> UUID:
        return run.rounds.order_by("-number").values_list("pk", flat=True)[0]


def make_world(folder: Path, *, members: int = 3) -> World:
    federation = FederationFactory()
    lead = federation.participations.get()
    others = [ParticipationFactory(federation=federation) for _ in range(members - 1)]
    sites = [make_site(p.organisation) for p in (lead, *others)]
    return World(federation, lead.signed_by, sites, folder)


def make_site(organisation: Organisation) -> Site:
    agent = AgentFactory(organisation=organisation)
    return Site(agent, agent.private_key)
