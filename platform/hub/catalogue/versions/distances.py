"""Distances between versions: asked for by people, measured by a worker, kept for every pair."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from federation.plan import Plan
from hub.accounts.models import User
from hub.catalogue.errors import VersionsNotComparable
from hub.catalogue.models import Distance, DistanceState, ModelVersion
from hub.catalogue.selectors import versions_visible_to
from hub.common.errors import NotFound
from hub.dispatch import Job, enqueue

MOST_COMPARED = 6  # versions at once: fifteen pairs
MOST_ATTEMPTS = 3
TINY = 1e-12  # a square below this share of what it is the difference of is rounding

Key = tuple[str, float]


@dataclass(frozen=True, slots=True)
class Apart:
    """How far `end` is from `start` in one respect.

    `relative` is ‖end − start‖ / ‖start‖; both are none where there is nothing to divide by.
    """

    relative: float | None
    cosine: float | None


@transaction.atomic
def ask_distances(*, user: User, version_ids: Collection[UUID]) -> list[Distance]:
    """Have every pair of these versions measured; what is known stays, what failed is tried again.

    Raises:
        NotFound: not all of them are the user's to see.
        VersionsNotComparable: fewer than two, too many, or over different base models.
    """
    wanted = set(version_ids)
    found = list(versions_visible_to(user).filter(pk__in=wanted))
    if len(found) != len(wanted):
        raise NotFound("there is no such version")
    check_comparable(found)
    return [_ask(*ends) for ends in sorted(set(_pairs(found).values()))]


def check_comparable(versions: Sequence[ModelVersion]) -> None:
    """Raises VersionsNotComparable."""
    if not 1 < len(versions) <= MOST_COMPARED:
        raise VersionsNotComparable(
            _("Choose between 2 and %(MOST_COMPARED)s versions.") % {"MOST_COMPARED": MOST_COMPARED}
        )
    if len({version.base_model_id for version in versions}) > 1:
        raise VersionsNotComparable(_("They stand on different base models."))


def _ask(left: Key, right: Key) -> Distance:
    found, _made = Distance.objects.select_for_update().get_or_create(
        left_id=left[0], left_scale=left[1], right_id=right[0], right_scale=right[1]
    )
    if found.state == DistanceState.COMPUTED:
        return found
    if found.state == DistanceState.FAILED:
        found.move_to(DistanceState.QUEUED, attempts=0, failure_code="")
    enqueue(Job.MEASURE_DISTANCE, str(found.pk))  # asked twice while it waits is measured once
    return found


@transaction.atomic
def begin_distance(*, distance_id: UUID) -> Distance | None:
    """What a worker needs for it; nothing where it is measured, or has killed too many."""
    found = Distance.objects.select_for_update().filter(pk=distance_id).first()
    if found is None or found.state != DistanceState.QUEUED:
        return None
    if found.attempts >= MOST_ATTEMPTS:
        found.move_to(DistanceState.FAILED, failure_code="gave_up")
        return None
    found.attempts += 1
    found.save(update_fields=["attempts"])
    return found


@transaction.atomic
def record_distance(*, distance_id: UUID, figures: Mapping[str, Any]) -> None:
    """Keep what was measured; measured twice, the first stands."""
    found = Distance.objects.select_for_update().get(pk=distance_id)
    if found.state == DistanceState.QUEUED:
        found.move_to(DistanceState.COMPUTED, figures=dict(figures))


@transaction.atomic
def fail_distance(*, distance_id: UUID, code: str, reason: str) -> None:
    """The files cannot be compared."""
    found = Distance.objects.select_for_update().get(pk=distance_id)
    if found.state == DistanceState.QUEUED:
        found.move_to(DistanceState.FAILED, reason=reason, failure_code=code)


def distances_between(versions: Sequence[ModelVersion]) -> dict[tuple[UUID, UUID], Distance]:
    """What is known of each pair, in the order given; one query."""
    pairs = _pairs(versions)
    wanted = Q(pk=None)
    for left, right in set(pairs.values()):
        wanted |= Q(left=left[0], left_scale=left[1], right=right[0], right_scale=right[1])
    rows = {
        ((one.left_id, one.left_scale), (one.right_id, one.right_scale)): one
        for one in Distance.objects.filter(wanted)
    }
    return {pair: rows[ends] for pair, ends in pairs.items() if ends in rows}


def _pairs(versions: Sequence[ModelVersion]) -> dict[tuple[UUID, UUID], tuple[Key, Key]]:
    """The key of each pair of versions: both ends, sorted."""
    keys = {version.pk: (version.adapter_id, scale_of(version)) for version in versions}
    return {
        (one.pk, other.pk): (min(keys[one.pk], keys[other.pk]), max(keys[one.pk], keys[other.pk]))
        for one, other in combinations(versions, 2)
    }


def scale_of(version: ModelVersion) -> float:
    """What the plan multiplies B·A by."""
    plan = Plan.model_validate_json(json.dumps(version.plan))
    return float(getattr(plan.adapter, "scale", 1.0))


def apart(distance: Distance, respect: str, start: ModelVersion) -> Apart | None:
    """What was measured of "change" or "values", seen from one end; none where nothing is."""
    figures = distance.figures.get(respect)
    if not figures:
        return None
    ends = (distance.left_id, distance.left_scale), (distance.right_id, distance.right_scale)
    is_turned = ends[0] != (start.adapter_id, scale_of(start))
    left, right, both = figures["left"], figures["right"], figures["both"]
    if is_turned:
        left, right = right, left
    if not left and not right:
        return None
    square = left + right - 2 * both
    if square < TINY * (left + right):
        square = 0.0
    return Apart(
        relative=sqrt(square / left) if left else None,
        cosine=max(-1.0, min(1.0, both / sqrt(left * right))) if left and right else None,
    )
