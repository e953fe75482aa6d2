"""Versions as pages show them: where each comes from, and what it achieved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from hub.accounts.models import User
from hub.catalogue.evaluation.measures import (
    Measure,
    Score,
    Scores,
    measure_for,
    measure_of,
    scores,
)
from hub.catalogue.models import (
    Alias,
    AliasState,
    BaseModel,
    Evaluation,
    ModelVersion,
    VersionState,
)
from hub.catalogue.selectors import Measured
from hub.catalogue.versions.releases import RELEASE, ROLLBACK
from hub.federations.models import Federation, ProposalState
from hub.federations.selectors import federations_of

CHART_MOST = 60
Grouped: TypeAlias = dict[UUID, list[Evaluation]]
LONG = (
    "federation__charter",
    "base_model__licence_text",
    "parent__plan",
    "parent__contributors",
    "parent__report",
    "round__frozen",
    "round__run__plan",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """The run and the round that made a version."""

    run_id: UUID
    run: str
    round_id: UUID
    round: int


@dataclass(frozen=True, slots=True)
class VersionRow:
    version: ModelVersion
    origin: Origin | None
    scores: Scores  # beside the start of its run

    @property
    def score(self) -> Score:
        return self.scores.whole


def with_origin(versions: QuerySet[ModelVersion]) -> QuerySet[ModelVersion]:
    """Select the round that points at each version; rounds are rows of a higher app.

    What is long and is of others than the version itself is left in the database.
    """
    found = versions.select_related("federation", "base_model", "parent", "round__run")
    return found.defer(*LONG)


def with_names(versions: QuerySet[ModelVersion]) -> QuerySet[ModelVersion]:
    """Fetch the federation's own names of each version with it, as `names`."""
    given = Alias.objects.filter(version=OuterRef("pk"), state=AliasState.GIVEN)
    return versions.annotate(names=ArraySubquery(given.order_by("name").values("name")))


def with_open_proposals(federations: QuerySet[Federation]) -> QuerySet[Federation]:
    """Count what is to be decided about versions, as `open_proposals`."""
    is_open = Q(proposals__state=ProposalState.OPEN, proposals__kind__in=(RELEASE, ROLLBACK))
    return federations.annotate(open_proposals=Count("proposals", filter=is_open))


def origin_of(version: ModelVersion) -> Origin | None:
    found: Any = getattr(version, "round", None)
    return found and Origin(found.run_id, found.run.name, found.pk, found.number)


def version_rows(versions: Iterable[ModelVersion]) -> list[VersionRow]:
    """A line for each version, of `with_origin`; one query, however many they are."""
    given = list(versions)
    after, starts = _evaluations(given)
    return [_row(version, after.get(version.pk, ()), starts) for version in given]


def _evaluations(versions: Sequence[ModelVersion]) -> tuple[Grouped, Grouped]:
    """What was measured of each version, and where the runs that measured them began."""
    after: Grouped = defaultdict(list)
    starts: Grouped = defaultdict(list)
    theirs = Evaluation.objects.filter(version__in=versions).order_by()
    runs = theirs.values("run_id")
    began = Evaluation.objects.filter(run_id__in=runs, round_number=0).order_by()
    for one in theirs.union(began).order_by("round_number", "created_at"):
        if one.version_id is not None:
            after[one.version_id].append(one)
        if one.round_number == 0:
            starts[one.run_id].append(one)
    return after, starts


def _row(
    version: ModelVersion,
    after: Sequence[Evaluation],
    starts: Mapping[UUID, Sequence[Evaluation]],
) -> VersionRow:
    before = starts.get(after[0].run_id, ()) if after else ()
    measured = scores(measure_of(version.plan), after, before, expected=_expected(version))
    return VersionRow(version, origin_of(version), measured)


def _expected(version: ModelVersion) -> int:
    """How many organisations were asked to measure it; 0 where no run made it."""
    made_by: Any = getattr(version, "round", None)
    return len(made_by.run.evaluators) if made_by else 0


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a federation has: its released version, its latest, and how many there are."""

    federation: Federation
    released: VersionRow | None
    latest: VersionRow | None
    count: int


def shelves_of(user: User) -> list[Shelf]:
    """The person's federations with their models; four queries, however many there are."""
    own = ModelVersion.objects.filter(federation=OuterRef("pk"), is_baseline=False).order_by()
    counted = own.values("federation").annotate(count=Count("pk")).values("count")
    federations = list(
        federations_of(user)
        .select_related("base_model")
        .annotate(
            count=Coalesce(Subquery(counted), 0),
            latest=Subquery(own.order_by("-number").values("pk")[:1]),
        )
        .order_by("name")
    )
    shown = Q(pk__in=[one.latest for one in federations if one.latest])
    shown |= Q(federation__in=federations, state=VersionState.RELEASED)
    rows = version_rows(with_origin(ModelVersion.objects.filter(shown)))
    return [_shelf(federation, rows) for federation in federations]


def _shelf(federation: Any, rows: Sequence[VersionRow]) -> Shelf:
    own = [row for row in rows if row.version.federation_id == federation.pk]
    return Shelf(
        federation=federation,
        released=next((r for r in own if r.version.state == VersionState.RELEASED), None),
        latest=next((r for r in own if r.version.pk == federation.latest), None),
        count=federation.count,
    )


def base_rows(user: User) -> QuerySet[BaseModel]:
    """All base models, with how many of the person's federations start from each."""
    own = federations_of(user).values("pk")
    used = Count("federations", filter=Q(federations__in=own))
    return BaseModel.objects.annotate(used=used).order_by("name")


def chart_of_line(federation: Federation) -> tuple[Measure, dict[str, Any]] | None:
    """What each version of the line achieved, over all test data; of a long line some.

    One that not all have measured is left out: its figure is about other data.
    """
    known = _sample(federation)
    if not known:
        return None
    measure = measure_for(known[-1][2])
    shown = [one for one in known if measure_for(one[2]) is measure]
    found = {one["version"]: one for one in _sums([pk for pk, *_ in shown])}
    points = [
        (f"v{number}", measure.of(_measured(found[pk])))
        for pk, number, _round, asked in shown
        if pk in found and found[pk]["places"] >= len(asked or ())
    ]
    if not points:
        return None
    labels, values = zip(*points, strict=True)
    series = {"name": measure.name, "values": values, "strong": True}
    return measure, {"labels": labels, "series": [series]}


def _sums(versions: Sequence[UUID]) -> Iterable[Mapping[str, Any]]:
    """The evaluations of each version added up, by the database: a chart has many."""
    given = Evaluation.objects.filter(version__in=versions).order_by()
    found: QuerySet[Any, Any] = given.values("version").annotate(
        places=Count("pk"),
        judged=Count("correct"),
        all_examples=Sum("examples"),
        all_correct=Sum("correct"),
        all_tokens=Sum("tokens"),
        loss=Sum("loss_sum"),
    )
    return found


def _measured(sums: Mapping[str, Any]) -> Measured:
    examples = sums["all_examples"]
    is_classification = sums["judged"] == sums["places"]
    units = examples if is_classification else sums["all_tokens"] or examples
    accuracy = sums["all_correct"] / examples if is_classification else None
    return Measured(examples, accuracy, sums["loss"] / units)


def _sample(federation: Federation) -> list[tuple[UUID, int, str, list[UUID] | None]]:
    """Of each so many versions of the line one, up to the latest: what a chart has room for.

    Id, number, type of task, and who was asked to measure it; the oldest first.
    """
    line = federation.versions.filter(is_baseline=False)
    newest = Subquery(line.order_by("-number").values("number")[:1])
    step = (newest + CHART_MOST - 1) / CHART_MOST  # whole, as the database divides
    chosen = line.alias(off=(newest - F("number")) % step).filter(off=0)
    columns = ("pk", "number", "plan__task__type", "round__run__evaluators")
    return list(chosen.order_by("number").values_list(*columns))
