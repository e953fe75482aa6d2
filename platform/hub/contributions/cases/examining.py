"""What a closed round shows beside those before it: sketches are kept, signs become cases.

The numbers come from a compute worker, which alone reads files; nothing here does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.crypto import salted_hmac

from federation.noticed import Finding, Seen, Sent
from hub.common.models import Event
from hub.contributions.cases.services import open_case
from hub.contributions.models import CaseKind, Sketch
from hub.dispatch import Job, enqueue
from hub.runs.errors import ExamplesAboveDeclaration
from hub.runs.models import Comparison, Purpose, Round, Update, UpdateState
from hub.runs.services.duplicates import DUPLICATED
from hub.runs.services.locks import database_now

WINDOW = 30  # rounds that are looked back on
FORGET_AFTER = timedelta(days=2)  # what no worker could look at by then is left alone
BATCH = 20
_LOOKED_AT = ("round", "packed", "norm")
_LOOKED_AT_OF_UPDATE = ("participation", "artifact", "evidence")


@dataclass(frozen=True, slots=True)
class Examination:
    """A round to be looked at: its updates that have no sketch yet, in the order of digests."""

    current: Round
    updates: tuple[Update, ...]
    seed: str


def begin_examination(*, round_id: UUID) -> Examination | None:
    """What is to be read of a round; nothing where it has no result or was looked at."""
    rounds = Round.objects.select_related("run__federation", "version")
    current = rounds.filter(pk=round_id, version__isnull=False).first()
    if current is None or current.run.purpose != Purpose.FEDERATED or _is_done(current):
        return None
    updates = (
        current.updates.exclude(state=UpdateState.REJECTED)
        .filter(sketch__isnull=True)
        .select_related("participation__organisation", "round", "counted_in")
        .order_by("artifact_id")
    )
    return Examination(current, tuple(updates), _seed(current.run_id))


def _is_done(current: Round) -> bool:
    return Sketch.objects.filter(round=current, update__isnull=True).exists()


def _seed(run_id: UUID) -> str:
    """The hub's own: who knew it could make two updates look alike, or apart."""
    return salted_hmac("foedus.sketches", str(run_id), algorithm="sha256").hexdigest()


@transaction.atomic
def record_examination(
    *, round_id: UUID, sketches: Mapping[UUID, Sequence[float]], norms: Mapping[UUID, float]
) -> None:
    """Keep the sketches of a round's updates, by their ids. Recorded twice, they stay once."""
    rows = [
        Sketch(round_id=round_id, update_id=pk, packed=Sketch.pack(values), norm=norms[pk])
        for pk, values in sketches.items()
    ]
    Sketch.objects.bulk_create(rows, ignore_conflicts=True)


@transaction.atomic
def conclude(*, round_id: UUID, found: Sequence[Finding]) -> None:
    """Open the cases that a round gives reason to, and mark it as looked at; twice is once."""
    current = Round.objects.select_related("run__federation").get(pk=round_id)
    for one in found:
        open_case(
            current=current,
            kind=CaseKind(one.kind),
            participations=[UUID(who) for who in one.who],
            figures=one.figures,
        )
    note_refused(current)
    looked_at = Sketch(round=current, packed=b"", norm=0.0)
    Sketch.objects.bulk_create([looked_at], ignore_conflicts=True)


def note_refused(current: Round) -> None:
    """Cases about what was refused when it came: bytes of others, and more than was declared."""
    tasks = current.tasks.values("pk")
    for event in Event.objects.filter(kind=DUPLICATED, subject_id__in=tasks):
        pair = [UUID(one) for one in event.data["participations"]]
        if len(pair) > 1:
            figures = {"sha256": event.data["sha256"]}
            open_case(
                current=current,
                kind=CaseKind.EXACT_COPY,
                participations=pair,
                figures=figures,
            )
    for update in current.updates.filter(verdict_code=ExamplesAboveDeclaration.code):
        figures = {"examples": update.examples, **_declared(update.evidence)}
        open_case(
            current=current,
            kind=CaseKind.INFLATED_COUNT,
            participations=[update.participation_id],
            figures=figures,
        )


def _declared(evidence: Mapping[str, Any]) -> dict[str, int]:
    return {"declared": int(evidence["declared"])} if "declared" in evidence else {}


def history_of(current: Round) -> list[Seen]:
    """The newest rounds of the run up to this one, as far as they have sketches."""
    first = current.number - WINDOW
    rounds = Round.objects.filter(
        run=current.run_id, number__gt=first, number__lte=current.number, version__isnull=False
    ).select_related("comparison", "version")
    by_round: dict[UUID, list[Sent]] = {}
    sender: dict[str, str] = {}
    for sketch in _sketches(current, first):
        sent = _sent(sketch)
        by_round.setdefault(sketch.round_id, []).append(sent)
        sender[str(sketch.update_id)] = sent.who
    return [
        Seen(one.number, tuple(by_round[one.pk]), _weights(one, sender), _exact(one))
        for one in rounds.order_by("number")
        if one.pk in by_round
    ]


def _sketches(current: Round, first: int) -> QuerySet[Sketch]:
    return (
        Sketch.objects.filter(
            round__run=current.run_id,
            round__number__gt=first,
            round__number__lte=current.number,
            update__isnull=False,
        )
        .select_related("update")
        .only(*_LOOKED_AT, *(f"update__{name}" for name in _LOOKED_AT_OF_UPDATE))
        .order_by("round__number", "update__artifact_id")
    )


def _sent(sketch: Sketch) -> Sent:
    update = sketch.update
    assert update is not None
    return Sent(
        who=str(update.participation_id),
        digest=update.artifact_id,
        norm=sketch.norm,
        sketch=sketch.values,
        loss_change=update.evidence.get("probe", {}).get("change"),
    )


def _weights(one: Round, sender: Mapping[str, str]) -> dict[str, float]:
    """What each participation counted in a round's result, as far as its update has a sketch."""
    assert one.version is not None
    shares = {entry["update"]: float(entry["weight"]) for entry in one.version.contributors}
    return {sender[update]: share for update, share in shares.items() if update in sender}


def _exact(one: Round) -> dict[tuple[str, str], float]:
    """Cosines of those updates that were compared before the round was frozen."""
    found: Comparison | None = getattr(one, "comparison", None)
    if found is None:
        return {}
    evidence = found.evidence
    places = combinations(range(len(evidence)), 2)
    return {(evidence.digests[i], evidence.digests[j]): evidence.cosine(i, j) for i, j in places}


def examine_the_rest() -> int:
    """Ask again for rounds that no worker has looked at yet; returns how many."""
    looked_at = Sketch.objects.filter(round=OuterRef("pk"), update__isnull=True)
    due = Round.objects.filter(
        ~Exists(looked_at),
        version__isnull=False,
        run__purpose=Purpose.FEDERATED,
        state_changed_at__gt=database_now() - FORGET_AFTER,
        state_changed_at__lt=database_now() - timedelta(minutes=5),
    )
    ids = list(due.order_by("state_changed_at").values_list("pk", flat=True)[:BATCH])
    for pk in ids:
        enqueue(Job.EXAMINE_ROUND, str(pk))
    return len(ids)
