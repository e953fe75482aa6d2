"""A federation that exists to be measured: K organisations, an agent each, an adapter of S MB."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings

from federation.keys import public_key_of, sign_bytes
from federation.plan import Aggregation, Evaluation, Lora, Plan, Rounds, SequenceClassification
from federation.protocol import EnrolmentIn
from hub.accounts.models import User
from hub.catalogue.bases.registering import register_base_model
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.models import Artifact, BaseModel, ModelVersion
from hub.catalogue.versions.registry import publish_version
from hub.federations.models import Federation, Participation
from hub.federations.services import approve_participation, create_federation, request_to_join
from hub.operations.bench.wire import Wire
from hub.organisations.models import Organisation
from hub.organisations.services import (
    approve_organisation,
    enrol_agent,
    make_enrolment_code,
    new_nonce,
    register_organisation,
)
from hub.runs.models import Run
from hub.runs.services import create_run, start_run

MIB = 1 << 20
RANK = 8
CHARTER = "What is measured here is measured."


@dataclass(frozen=True, slots=True)
class Place:
    """One row's federation."""

    federation: Federation
    lead: User
    version: ModelVersion
    agents: tuple[Wire, ...]
    size_bytes: int

    def start_run(self, *, rounds: int, strategy: str) -> Run:
        plan = plan_of(rounds=rounds, strategy=strategy, quorum=len(self.agents))
        run = create_run(
            user=self.lead,
            federation_id=self.federation.pk,
            name=f"{len(self.agents)} agents, {rounds} rounds",
            plan=plan,
            parent_version_id=self.version.pk,
        )
        return start_run(user=self.lead, run_id=run.pk)


def plan_of(*, rounds: int = 1, strategy: str = "fedavg", quorum: int = 1) -> Plan:
    return Plan(
        task=SequenceClassification(labels=("no", "yes")),
        adapter=Lora(rank=RANK, alpha=2.0 * RANK),
        aggregation=Aggregation.model_validate({"strategy": strategy, "clip": 1e9}),
        rounds=Rounds(count=rounds, quorum=quorum, deadline_seconds=3600),
        evaluation=Evaluation(every="never"),
    )


def make_place(*, url: str, agents: int, megabytes: int, folder: Path) -> Place:
    """Make a federation whose adapter has S MB in tensors of the sizes that LoRA has."""
    name = f"bench-{agents}x{megabytes}-{new_nonce()[:6]}"
    operator = User.objects.create_user(f"operator@{name}.example", None, name="Olga")
    people = [
        User.objects.create_user(f"p{number}@{name}.example", None, name=f"Person {number}")
        for number in range(agents)
    ]
    houses = [_organisation(user, name, operator) for user in people]
    federation = _federation(people, houses, name, base_model(folder))
    adapter = adapter_of(megabytes, folder / "adapter.safetensors")
    return Place(
        federation=federation,
        lead=people[0],
        version=_version(federation, adapter),
        agents=tuple(_agent(user, house, url) for user, house in zip(people, houses, strict=True)),
        size_bytes=adapter.size_bytes,
    )


def adapter_of(megabytes: int, path: Path) -> Artifact:
    """An adapter of rank 8, in 64 tensors a MB at first and in larger ones where there is more."""
    import torch  # noqa: PLC0415  (takes seconds)

    from federation.tensors import write_adapter  # noqa: PLC0415

    width = 512 if megabytes < 16 else 2048 if megabytes < 100 else 4096  # noqa: PLR2004
    modules = megabytes * MIB // (2 * RANK * width * 4)
    random = torch.Generator().manual_seed(megabytes)
    tensors = {
        f"base_model.model.layer.{number:04}.{factor}.weight": torch.randn(*shape, generator=random)
        for number in range(modules)
        for factor, shape in (("lora_A", (RANK, width)), ("lora_B", (width, RANK)))
    }
    write_adapter(path, sorted(tensors.items()))
    return adopt_file(path=path)


def base_model(folder: Path) -> BaseModel:
    """A base model that nobody ever loads."""
    model = folder / "base"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps({"architectures": ["None"]}))
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (model / "model.safetensors").write_bytes(weights)
    return register_base_model(folder=model, slug="bench", name="Bench", licence="Apache-2.0")


def _organisation(user: User, name: str, operator: User) -> Organisation:
    made = register_organisation(user=user, name=f"{user.name} of {name}")
    approve_organisation(organisation_id=made.pk, actor=operator.actor)
    return made


def _federation(
    people: list[User], houses: list[Organisation], name: str, base: BaseModel
) -> Federation:
    federation = create_federation(
        user=people[0],
        organisation_id=houses[0].pk,
        name=name,
        purpose="",
        charter=CHARTER,
        base_model_id=base.pk,
    )
    for user, house in zip(people[1:], houses[1:], strict=True):
        _join(federation, user, house.pk, people[0])
    return federation


def _join(federation: Federation, user: User, organisation_id: UUID, lead: User) -> Participation:
    asked = request_to_join(
        user=user,
        organisation_id=organisation_id,
        federation_id=federation.pk,
        charter_digest=federation.charter_digest,
    )
    return approve_participation(user=lead, participation_id=asked.pk)


def _agent(user: User, house: Organisation, url: str) -> Wire:
    wire = Wire(url)
    assert wire.key
    _, code = make_enrolment_code(organisation_id=house.pk, user=user)
    public, nonce = base64.b64encode(public_key_of(wire.key)).decode(), new_nonce()
    parts = (settings.PUBLIC_URL, hashlib.sha256(code.encode()).hexdigest(), public, nonce)
    proof = sign_bytes(wire.key, "fl-enrol-v1", "\n".join(parts).encode())
    enrol_agent(
        message=EnrolmentIn(
            code=code, public_key=public, name="bench", nonce=nonce, signature=proof
        )
    )
    return wire


def _version(federation: Federation, adapter: Artifact) -> ModelVersion:
    plan = plan_of()
    return publish_version(
        federation=federation,
        base_model=federation.base_model,
        parent=None,
        adapter=adapter,
        files={"adapter_model.safetensors": adapter},
        plan=plan.model_dump(mode="json"),
        plan_digest=plan.digest(),
        rank=RANK,
        contributors=[],
        report={},
    )
