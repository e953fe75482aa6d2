"""What a card and a lineage are written from: the records of one version, read once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.plan import Plan, canonical
from hub.catalogue.evaluation.measures import Score
from hub.catalogue.models import Artifact, ModelVersion
from hub.catalogue.versions.lines import Origin, origin_of, version_rows
from hub.federations.models import Federation

Contributors = Sequence[Mapping[str, Any]]
ENDED = frozenset({"closed", "failed"})  # states of a round, which is a row of a higher app


@dataclass(frozen=True, slots=True)
class Result:
    """What the version achieved on the test data of one organisation, or of all together."""

    organisation: str  # empty: all together
    score: Score


@dataclass(frozen=True, slots=True)
class Record:
    plan: Plan
    federation: Federation  # with its base model
    adapter: Artifact
    contributors: Contributors
    report: Mapping[str, Any] = field(default_factory=dict)
    number: int | None = None  # None: not published yet
    origin: Origin | None = None
    results: Sequence[Result] | None = None  # None: its evaluation has not ended
    data_statements: Sequence[tuple[str, str]] = ()  # organisation, its own words
    shares: Sequence[tuple[str, float]] = ()  # of the contribution, where a charter publishes them


def record_of(version: ModelVersion) -> Record:
    """Everything on record of a version of `with_origin`, as it is now."""
    return Record(
        plan=plan_of(version),
        federation=version.federation,
        adapter=version.files.get(path="adapter_model.safetensors").artifact,
        contributors=version.contributors,
        report=version.report,
        number=version.number,
        origin=origin_of(version),
        results=_results(version) if is_evaluated(version) else None,
        data_statements=_data_statements(version),
    )


def plan_of(version: ModelVersion) -> Plan:
    return Plan.model_validate_json(json.dumps(version.plan))


def is_evaluated(version: ModelVersion) -> bool:
    """Whether nobody is going to evaluate it in its round any more."""
    made_by: Any = getattr(version, "round", None)
    return made_by is None or made_by.state in ENDED


def _results(version: ModelVersion) -> list[Result]:
    """All together first, then each organisation by name; nothing where nobody has measured."""
    found = version_rows([version])[0].scores
    if found.whole.value is None:
        return []
    places = version.federation.participations.select_related("organisation")
    names = {place.pk: place.organisation.name for place in places}
    each = [Result(names[place], score) for place, score in found.by_participation.items()]
    return [Result("", found.whole), *sorted(each, key=lambda one: one.organisation)]


def _data_statements(version: ModelVersion) -> list[tuple[str, str]]:
    """What those who trained it say of their data, in the order of their names."""
    names = {str(one["organisation"]) for one in version.contributors}
    places = version.federation.participations.filter(organisation__name__in=names)
    said = places.exclude(data_statement="").values_list("organisation__name", "data_statement")
    return sorted(said)


def statement_digests(version: ModelVersion) -> Mapping[str, str]:
    """By the id of each update that counted: SHA-256 of the statement its agent signed."""
    made_by: Any = getattr(version, "round", None)
    if made_by is None:
        return {}
    return {
        str(update.pk): hashlib.sha256(canonical(update.statement)).hexdigest()
        for update in made_by.counted.all()
    }
