"""Where a version comes from, in full: the same record for its page and for the API.

Everything here was fixed when the version was published, but for what was measured since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from federation.plan import Plan
from hub.catalogue.cards.privacy import privacy_statement
from hub.catalogue.models import Evaluation, ModelVersion, VersionFile
from hub.catalogue.versions.lines import origin_of


@dataclass(frozen=True, slots=True)
class Ancestor:
    id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Making:
    """The run and the round that made a version."""

    run: UUID
    run_number: int
    run_name: str
    round: UUID
    round_number: int


@dataclass(frozen=True, slots=True)
class CountedUpdate:
    """An update that went into a version; empty `statement`: made before statements were kept."""

    update: str
    organisation: str
    digest: str
    statement: str
    examples: int
    weight: float
    staleness: int


@dataclass(frozen=True, slots=True)
class Aggregator:
    """How updates became weights; an error is None where the report does not say."""

    strategy: str
    rule: str
    combination: str
    relative_error: float | None
    discarded_energy: float | None
    optimiser: str
    optimiser_state: str | None  # SHA-256 of what the server's optimiser remembers


@dataclass(frozen=True, slots=True)
class Measurement:
    """Sums of one organisation's test data, as it sent them; they add up."""

    organisation: str
    run: UUID
    round: int
    examples: int
    correct: int | None
    tokens: int
    loss_sum: float


@dataclass(frozen=True, slots=True)
class StoredFile:
    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Provenance:
    parent: Ancestor | None
    making: Making | None
    plan_digest: str
    base_model: str
    base_revision: str
    updates: Sequence[CountedUpdate]  # the heaviest first
    aggregator: Aggregator
    evaluations: Sequence[Measurement]
    privacy: Sequence[str]  # sentences
    adapter: str
    revision: str
    files: Sequence[StoredFile]


def provenance_of(version: ModelVersion) -> Provenance:
    """The record of a version of `with_origin`; two queries."""
    parent, plan = version.parent, Plan.model_validate_json(json.dumps(version.plan))
    return Provenance(
        parent=Ancestor(parent.pk, parent.number) if parent else None,
        making=_making(version),
        plan_digest=version.plan_digest,
        base_model=version.base_model.repo,
        base_revision=version.base_model.revision,
        updates=sorted(map(_counted, version.contributors), key=lambda one: -one.weight),
        aggregator=_aggregator(version, plan),
        evaluations=_measurements(version),
        privacy=privacy_statement(plan),
        adapter=version.adapter_id,
        revision=version.revision,
        files=[_file(file) for file in version.files.select_related("artifact")],
    )


def _making(version: ModelVersion) -> Making | None:
    found, made_by = origin_of(version), getattr(version, "round", None)
    if found is None or made_by is None:
        return None
    return Making(found.run_id, made_by.run.number, found.run, found.round_id, found.round)


def _counted(one: Mapping[str, Any]) -> CountedUpdate:
    return CountedUpdate(
        update=str(one.get("update", "")),
        organisation=one["organisation"],
        digest=one.get("digest", ""),
        statement=one.get("statement", ""),
        examples=one["examples"],
        weight=one["weight"],
        staleness=one.get("staleness", 0),
    )


def _aggregator(version: ModelVersion, plan: Plan) -> Aggregator:
    return Aggregator(
        strategy=plan.aggregation.strategy,
        rule=plan.aggregation.rule,
        combination=plan.aggregation.combination,
        relative_error=version.report.get("relative_error"),
        discarded_energy=version.report.get("discarded_energy"),
        optimiser=plan.server.optimiser,
        optimiser_state=version.optimiser_state_id,
    )


def _measurements(version: ModelVersion) -> list[Measurement]:
    found = version.evaluations.select_related("participation__organisation")
    return [_measurement(one) for one in found.order_by("participation__created_at")]


def _measurement(one: Evaluation) -> Measurement:
    return Measurement(
        organisation=one.participation.organisation.name,
        run=one.run_id,
        round=one.round_number,
        examples=one.examples,
        correct=one.correct,
        tokens=one.tokens,
        loss_sum=one.loss_sum,
    )


def _file(file: VersionFile) -> StoredFile:
    return StoredFile(file.path, file.artifact_id, file.artifact.size_bytes)
