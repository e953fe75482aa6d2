"""What the page of a version shows; each part is read when the template first asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from federation.plan import Plan
from hub.accounts.models import User
from hub.catalogue.lines import Origin, VersionRow, origin_of, version_rows, with_origin
from hub.catalogue.measures import Score
from hub.catalogue.models import ModelVersion, VersionFile, VersionState
from hub.catalogue.recipes import loading_code
from hub.common.models import Event
from hub.federations.places import Place, places_in


@dataclass(frozen=True, slots=True)
class Measured:
    place: Place
    score: Score


@dataclass(frozen=True, slots=True)
class Contributor:
    name: str
    hue: int | None
    examples: int
    weight: float
    digest: str


class Volume:
    def __init__(self, version: ModelVersion, user: User) -> None:
        """`version` comes from `with_origin`."""
        self.version = version
        self.user = user

    @cached_property
    def plan(self) -> Plan:
        return Plan.model_validate_json(json.dumps(self.version.plan))

    @cached_property
    def places(self) -> Mapping[UUID, Place]:
        return places_in(self.version.federation_id, self.user)

    @property
    def origin(self) -> Origin | None:
        return origin_of(self.version)

    @property
    def is_lead(self) -> bool:
        """The reader acts for the lead organisation."""
        return any(p.is_lead and p.is_own and p.is_active for p in self.places.values())

    @property
    def may_release(self) -> bool:
        is_released = self.version.state == VersionState.RELEASED
        return self.is_lead and not is_released and not self.version.is_baseline

    @property
    def is_rollback(self) -> bool:
        return self.version.state == VersionState.RETIRED

    @cached_property
    def now_released(self) -> VersionRow | None:
        """What the federation uses at present, where it is another version."""
        others = ModelVersion.objects.filter(federation=self.version.federation_id)
        released = others.filter(state=VersionState.RELEASED).exclude(pk=self.version.pk)
        return next(iter(version_rows(with_origin(released))), None)

    @property
    def is_worse(self) -> bool:
        """By the same measure, than what is released now."""
        own, other = self.score, self.now_released.score if self.now_released else None
        if other is None or own.measure != other.measure or None in (own.value, other.value):
            return False
        change = (own.value or 0.0) - (other.value or 0.0)
        return change < 0 if own.measure.is_better_higher else change > 0

    @property
    def may_retire(self) -> bool:
        return self.is_lead and self.version.state != VersionState.RETIRED

    @cached_property
    def _row(self) -> VersionRow:
        return version_rows([self.version])[0]

    @property
    def score(self) -> Score:
        return self._row.score

    @property
    def measured(self) -> list[Measured]:
        """By organisation, in the order in which they came."""
        each = self._row.scores.by_participation
        return [
            Measured(place, each[place.id]) for place in self.places.values() if place.id in each
        ]

    @property
    def worst(self) -> Measured | None:
        """The organisation that it serves least."""
        known = [one for one in self.measured if one.score.value is not None]
        sign = 1 if self.score.measure.is_better_higher else -1
        return min(known, key=lambda one: sign * (one.score.value or 0.0), default=None)

    @property
    def contributors(self) -> list[Contributor]:
        """The heaviest first."""
        hues = {place.name: place.hue for place in self.places.values()}
        given: Sequence[Mapping[str, Any]] = self.version.contributors
        return [
            Contributor(
                name=one["organisation"],
                hue=hues.get(one["organisation"]),
                examples=one["examples"],
                weight=one["weight"],
                digest=one["digest"],
            )
            for one in sorted(given, key=lambda one: -float(one["weight"]))
        ]

    @cached_property
    def files(self) -> list[VersionFile]:
        return list(self.version.files.select_related("artifact"))

    @property
    def size_bytes(self) -> int:
        return sum(file.artifact.size_bytes for file in self.files)

    @cached_property
    def children(self) -> list[ModelVersion]:
        return list(self.version.children.order_by("number")[:10])

    @cached_property
    def decisions(self) -> list[Event]:
        """Who released and retired it, and why; the newest first."""
        told = Event.objects.filter(subject_id=self.version.pk).exclude(from_state="")
        return list(told.order_by("-pk")[:20])

    @property
    def code(self) -> str:
        return loading_code(self.version, self.plan)
