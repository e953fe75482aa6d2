"""Time in which nobody could act does not count: what is due moves on by as long.

Locks are taken from the outside in, as everywhere.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from hub.catalogue.models import Upload, UploadState
from hub.federations.models import Federation, FederationState
from hub.runs.commitment_models import Unveiling
from hub.runs.models import Round, RunState, Task, TaskState
from hub.runs.selectors import ACTIVE_ROUNDS


@transaction.atomic
def after_maintenance(*, by: timedelta) -> None:
    """Deadlines and leases of all runs that are under way, and the patience with uploads.

    What is paused stands still by itself.
    """
    _prolong_rounds(by, run__federation__state=FederationState.ACTIVE)
    leased = Task.objects.filter(state=TaskState.LEASED)
    leased.update(lease_expires_at=F("lease_expires_at") + by)
    Upload.objects.filter(state=UploadState.OPEN).update(touched_at=timezone.now())


@transaction.atomic
def after_pause(*, federation: Federation, by: timedelta) -> None:
    """Deadlines of a federation's runs; leases went on being renewed."""
    _prolong_rounds(by, run__federation=federation)


def _prolong_rounds(by: timedelta, **which: Any) -> None:
    rounds = Round.objects.filter(state__in=ACTIVE_ROUNDS, run__state=RunState.RUNNING, **which)
    ids = list(rounds.order_by("pk").values_list("pk", flat=True))
    Round.objects.filter(pk__in=ids).update(deadline_at=F("deadline_at") + by)
    shut = Unveiling.objects.filter(round__in=ids, opened_at__isnull=True)
    shut.update(deadline_at=F("deadline_at") + by)
