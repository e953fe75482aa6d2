"""Base models, versions and artifacts, and files to make them of."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from struct import pack
from typing import Any
from uuid import UUID, uuid4

import factory
from django.conf import settings
from factory.django import DjangoModelFactory

from federation.protocol import UploadIn
from hub.catalogue.blobs import uploads
from hub.catalogue.blobs.artifacts import adopt_bytes
from hub.catalogue.blobs.storage import Readable
from hub.catalogue.models import (
    Artifact,
    BaseModel,
    BaseModelFile,
    CommitReason,
    Evaluation,
    ModelVersion,
    Upload,
)
from hub.catalogue.versions.commits import add_commit, revision_of
from hub.common.bodies import Body
from hub.organisations.models import Agent

PLAN = {"version": 1, "task": {"type": "causal_lm"}}


def safetensors_bytes(
    shape: tuple[int, ...] = (4, 4), name: str = "weight", fill: int = 0
) -> bytes:
    """A well-formed file of one fp32 tensor whose bytes are all `fill`."""
    size = 4
    for dimension in shape:
        size *= dimension
    tensor = {"dtype": "F32", "shape": list(shape), "data_offsets": [0, size]}
    header = json.dumps({name: tensor}).encode()
    return pack("<Q", len(header)) + header + bytes([fill]) * size


def sha256_hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class ArtifactFactory(DjangoModelFactory):
    """Stored bytes; give `content`, or get new ones each time."""

    class Meta:
        model = Artifact

    content = factory.Sequence(lambda n: safetensors_bytes(fill=n % 256, name=f"weight{n}"))

    @classmethod
    def _create(cls, _: type[Artifact], *, content: bytes) -> Artifact:
        return adopt_bytes(content=content)


class BaseModelFactory(DjangoModelFactory):
    """A base model without files; `files={path: content}` gives it some."""

    class Meta:
        model = BaseModel
        skip_postgeneration_save = True

    slug = factory.Sequence(lambda n: f"tiny-{n}")
    name = factory.LazyAttribute(lambda base: base.slug.replace("-", " ").title())
    licence = "Apache-2.0"
    architecture = "BertModel"
    parameters = 1_000_000
    revision = factory.LazyAttribute(lambda base: sha256_hex(base.slug.encode())[:40])

    @factory.post_generation
    def files(base: BaseModel, _: bool, extracted: dict[str, bytes] | None) -> None:  # noqa: N805
        for path, content in (extracted or {}).items():
            BaseModelFile.objects.create(
                base_model=base, path=path, artifact=adopt_bytes(content=content)
            )


class VersionFactory(DjangoModelFactory):
    """A candidate of a federation, with its adapter as its only file unless `files` are given."""

    class Meta:
        model = ModelVersion

    federation = factory.SubFactory("tests.factories.federations.FederationFactory")
    number = factory.LazyAttribute(lambda version: version.federation.versions.count() + 1)
    base_model = factory.SelfAttribute("federation.base_model")
    adapter = factory.LazyFunction(
        lambda: adopt_bytes(content=safetensors_bytes(name=f"weight-{uuid4()}"))
    )
    plan = factory.LazyFunction(lambda: dict(PLAN))
    plan_digest = "0" * 64
    rank = 8

    @classmethod
    def _create(
        cls,
        model: type[ModelVersion],
        *,
        files: dict[str, bytes] | None = None,
        **columns: Any,
    ) -> ModelVersion:
        own = {path: adopt_bytes(content=content) for path, content in (files or {}).items()}
        all_of = {"adapter_model.safetensors": columns["adapter"], **own}
        revision = revision_of({path: file.sha256 for path, file in all_of.items()})
        version = model.objects.create(**{"revision": revision, **columns})
        add_commit(version=version, files=all_of, reason=CommitReason.PUBLISHED)
        return version


class EvaluationFactory(DjangoModelFactory):
    class Meta:
        model = Evaluation

    version = factory.SubFactory(VersionFactory)
    adapter = factory.SelfAttribute("version.adapter")
    participation = factory.SubFactory(
        "tests.factories.federations.ParticipationFactory",
        federation=factory.SelfAttribute("..version.federation"),
    )
    run_id = factory.LazyFunction(uuid4)
    round_number = 1
    examples = 100
    correct = 80
    loss_sum = 50.0


def begin(agent: Agent, content: bytes, *, task_id: UUID | None = None, **changes: Any) -> Upload:
    """Announce content; `sha256` and `size_bytes` may lie."""
    said = {"sha256": sha256_hex(content), "size_bytes": len(content), **changes}
    return uploads.begin_upload(
        agent=agent,
        task_id=task_id or uuid4(),
        message=UploadIn(fence=1, **said),
        limit_bytes=settings.UPLOAD_LIMIT_BYTES,
    )


def received(part: bytes) -> Body:
    """A request's body as the hub has it once all of it is in."""
    body = Body()
    body.take(part)
    body.rewind()
    return body


def send(
    upload: Upload,
    part: bytes,
    *,
    offset: int | None = None,
    carrier: Callable[[bytes], Readable] = io.BytesIO,
) -> Upload:
    """Append a part, at the upload's own offset unless another is given."""
    at = upload.offset if offset is None else offset
    with closing(carrier(part)) as body:
        return uploads.append(upload=upload, offset=at, length=len(part), body=body)


def upload_file(agent: Agent, path: Path, *, task_id: UUID) -> Upload:
    """Announce a file and send it whole, as an agent does."""
    content = path.read_bytes()
    upload = begin(agent, content, task_id=task_id)
    return upload if upload.state == "complete" else send(upload, content)
