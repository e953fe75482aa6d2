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
from hub.catalogue.adapterwords import adapter_in_words
from hub.catalogue.cards.recipes import loading_code
from hub.catalogue.evaluation.assessing import GateLine, gates_of, lines_of
from hub.catalogue.evaluation.measures import Score
from hub.catalogue.evaluation.probed import OnProbe, version_on_probe
from hub.catalogue.models import ModelVersion, VersionCommit, VersionFile, VersionState
from hub.catalogue.versions.lines import Origin, VersionRow, origin_of, version_rows, with_origin
from hub.catalogue.versions.releases import kind_of
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
    def __init__(self, version: ModelVersion, user: User, commit: int | None = None) -> None:
        """`version` comes from `with_origin`; `commit` is the number of one, else the newest."""
        self.version = version
        self.user = user
        self._commit_number = commit

    @cached_property
    def plan(self) -> Plan:
        return Plan.model_validate_json(json.dumps(self.version.plan))

    @property
    def adapter_words(self) -> str:
        return adapter_in_words(self.plan.adapter)

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
        """Who leads, where the lead decides alone; elsewhere the members vote."""
        is_led = kind_of(self.version) in self.version.federation.typed_policy.led
        return self.is_lead and is_led and self._is_fit

    @property
    def may_propose(self) -> bool:
        """Somebody who does not decide may propose what others decide."""
        return self._is_fit and not self.may_release

    @property
    def _is_fit(self) -> bool:
        return self.version.state != VersionState.RELEASED and not self.version.is_baseline

    @property
    def is_rollback(self) -> bool:
        return self.version.state == VersionState.RETIRED

    @cached_property
    def _other(self) -> ModelVersion | None:
        """The released version, where it is another one."""
        others = ModelVersion.objects.filter(federation=self.version.federation_id)
        released = others.filter(state=VersionState.RELEASED).exclude(pk=self.version.pk)
        return with_origin(released).first()

    @property
    def now_released(self) -> VersionRow | None:
        """What the federation uses at present, where it is another version."""
        return self._rows[1] if self._other else None

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
    def _rows(self) -> list[VersionRow]:
        """This version's, and that of the released one."""
        return version_rows([self.version, *([self._other] if self._other else [])])

    @property
    def _row(self) -> VersionRow:
        return self._rows[0]

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

    @cached_property
    def gates(self) -> list[GateLine]:
        """What the gates of its plan say."""
        return lines_of(gates_of(self.version))

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

    @property
    def is_held_up(self) -> bool:
        """A gate blocks its release; going back to an earlier release is not held up."""
        return any(one.blocks for one in self.gates) and not self.is_rollback

    @cached_property
    def _all_files(self) -> list[VersionFile]:
        """Of every commit, the newest first: a few commits of a few files."""
        found = VersionFile.objects.filter(commit__version=self.version)
        return list(found.select_related("artifact", "commit").order_by("-commit__number", "path"))

    @cached_property
    def commits(self) -> list[VersionCommit]:
        """The newest first."""
        return list(dict.fromkeys(file.commit for file in self._all_files))

    @property
    def commit(self) -> VersionCommit | None:
        """The one whose files are shown; none where there is no such number."""
        if self._commit_number is None:
            return self.commits[0] if self.commits else None
        return next((one for one in self.commits if one.number == self._commit_number), None)

    @property
    def is_newest_shown(self) -> bool:
        return self._commit_number is None or self.commit == self.commits[0]

    @property
    def files(self) -> list[VersionFile]:
        """Those of the commit."""
        return [file for file in self._all_files if file.commit == self.commit]

    @property
    def size_bytes(self) -> int:
        return sum(file.artifact.size_bytes for file in self.files)

    @cached_property
    def on_probe(self) -> Sequence[OnProbe]:
        """What the hub measured on the public probe set of the version's run, if it has one."""
        return version_on_probe(self.version)

    @property
    def code(self) -> str:
        revision = self.commit.revision if self.commit and not self.is_newest_shown else ""
        return loading_code(self.version, self.plan, revision=revision)
