"""When letters are due: at once, with what else waits; or at the person's hour of the day."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from django.db import transaction
from django.db.models import F, Min, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from hub.notices.models import Channel, Mail, Notice
from hub.notices.models.notices import DIGEST_HOUR

GRACE = timedelta(minutes=1)  # what happened before the hour is told by then
BATCH = 1000  # notices
MOST_AT_ONCE = 500  # digests


@transaction.atomic
def write_letters() -> int:
    """A letter to each person who wants to be told at once; returns how many letters."""
    waiting = _unmailed(Channel.NOW).order_by("created_at")
    return _write(waiting, is_digest=False)


@transaction.atomic
def write_digests(*, now: datetime | None = None) -> int:
    """The daily letter to each person whose hour has passed; returns how many letters."""
    until = (now or timezone.now()) - GRACE
    pending = _unmailed(Channel.DIGEST).order_by().values("user_id")
    hours = pending.annotate(
        hour=Coalesce(F("user__notice_settings__digest_hour"), DIGEST_HOUR),
        oldest=Min("created_at"),
    ).values_list("user_id", "hour", "oldest")
    due = (
        (user_id, cut) for user_id, hour, oldest in hours if oldest < (cut := _last(hour, until))
    )
    return sum(_digest(user_id, cut) for user_id, cut in islice(due, MOST_AT_ONCE))


def _digest(user_id: UUID, cut: datetime) -> int:
    waiting = _unmailed(Channel.DIGEST).filter(user=user_id, created_at__lt=cut)
    return _write(waiting.order_by("created_at"), is_digest=True)


def _last(hour: int, until: datetime) -> datetime:
    """When it was that hour last."""
    today = until.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today <= until else today - timedelta(days=1)


def _unmailed(channel: Channel) -> QuerySet[Notice]:
    return Notice.objects.filter(channel=channel, mail__isnull=True, read_at__isnull=True)


def _write(waiting: QuerySet[Notice], *, is_digest: bool) -> int:
    """One letter a person about all of theirs; what somebody else is writing about is passed by."""
    held = waiting.select_for_update(skip_locked=True).values_list("pk", "user_id")
    by_person: dict[UUID, list[UUID]] = {}
    for pk, user_id in held[:BATCH]:
        by_person.setdefault(user_id, []).append(pk)
    now = timezone.now()
    for user_id, notices in by_person.items():
        mail = Mail.objects.create(user_id=user_id, is_digest=is_digest, next_at=now)
        Notice.objects.filter(pk__in=notices).update(mail=mail)
    return len(by_person)
