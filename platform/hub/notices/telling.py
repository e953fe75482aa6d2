"""Events become notices, and deliveries to webhooks: each once, soon, and surely.

An event's id and time are given before its transaction commits, so a later one may show earlier:
who keeps «the last one seen» loses it. Here an event is told if it is younger than the mark less
a look back and no row says that it has been told. Every few seconds the look back is short; with
housekeeping it is longer than any transaction lives. See docs/adr/0025.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from hub.common.models import Event
from hub.notices.audience import Recipient
from hub.notices.hooks.asking import ask_for_deliveries
from hub.notices.kinds import EVENTS, Kind, kind_of
from hub.notices.models import Mark, Notice, NoticeSettings, ToldEvent

SOON = timedelta(minutes=2)
SURELY = timedelta(hours=1)  # a job is ended after half of it, a request long before
KEPT = timedelta(hours=2)  # of the rows that say what was told, beyond what is looked at
BATCH = 200


@transaction.atomic
def tell_news(*, surely: bool = False, limit: int = BATCH) -> int:
    """Tell what has happened and was not told; returns how many events. One tells at a time."""
    mark = _held_mark()
    if mark is None:
        return 0
    name, back = ("surely_at", SURELY) if surely else ("soon_at", SOON)
    began = timezone.now()
    events = _untold(since=getattr(mark, name) - back, limit=limit)
    for event in events:
        _tell(event)
    ToldEvent.objects.bulk_create([ToldEvent(event=one, at=one.at) for one in events])
    if len(events) < limit:
        setattr(mark, name, began)
        mark.save(update_fields=[name])
    return len(events)


def forget_told() -> None:
    """Let go of rows about events that no look reaches any more."""
    mark = Mark.objects.first()
    if mark is not None:
        oldest = min(mark.soon_at - SOON, mark.surely_at - SURELY)
        ToldEvent.objects.filter(at__lt=oldest - KEPT).delete()


def _held_mark() -> Mark | None:
    """The mark, held until the transaction ends; None while somebody else tells."""
    held = Mark.objects.select_for_update(skip_locked=True)
    if (found := held.first()) or Mark.objects.exists():
        return found
    now = timezone.now()  # the first time: what happened long ago is no news
    Mark.objects.bulk_create([Mark(pk=1, soon_at=now, surely_at=now)], ignore_conflicts=True)
    return held.first()


def _untold(*, since: object, limit: int) -> Sequence[Event]:
    told = ToldEvent.objects.filter(event=OuterRef("pk"))
    fresh = Event.objects.filter(~Exists(told), at__gte=since, kind__in=EVENTS)
    return list(fresh.order_by("pk")[:limit])


def _tell(event: Event) -> None:
    kind = kind_of(event)
    if kind is None:
        return
    url = kind.link(event)
    ask_for_deliveries(event=event, kind=kind, url=url)
    told = _addressed(kind, event)
    if not told:
        return
    joined = _joined(kind, event, told, url)
    fresh = [one for one in told if one not in joined]
    channels = _channels(kind, fresh)
    Notice.objects.bulk_create(
        [_notice(kind, event, one, url, channels[one.user_id]) for one in fresh], batch_size=500
    )


def _addressed(kind: Kind, event: Event) -> list[Recipient]:
    """News once for each person, and not for who did it; needs for each organisation."""
    found = kind.who.recipients(event)
    if kind.need is not None:
        return found
    once: dict[UUID, Recipient] = {}
    for one in found:
        if one.user_id != event.actor_id:
            once.setdefault(one.user_id, one)
    return list(once.values())


def _joined(kind: Kind, event: Event, told: Iterable[Recipient], url: str) -> set[Recipient]:
    """Those with an open notice about the same; it takes the event in and is unread again."""
    people = {one.user_id for one in told}
    same = Notice.objects.filter(
        kind=kind.name, object_id=kind.object_of(event), user__in=people, settled_at__isnull=True
    )
    if kind.need is None:
        same = same.filter(read_at__isnull=True)
    held = list(same.select_for_update().values_list("pk", "user_id", "organisation_id"))
    wanted = {(one.user_id, one.organisation_id): one for one in told}
    if kind.need is None:  # news reaches a person once, through whichever organisation
        by_person = {one.user_id: one for one in told}
        found = {pk: by_person[user_id] for pk, user_id, _ in held}
    else:
        found = {pk: wanted[key] for pk, *rest in held if (key := tuple(rest)) in wanted}
    Notice.objects.filter(pk__in=found).update(
        event=event, at=event.at, url=url, count=F("count") + 1, read_at=None
    )
    return set(found.values())


def _channels(kind: Kind, told: Iterable[Recipient]) -> dict[UUID, str]:
    people = [one.user_id for one in told]
    said = NoticeSettings.objects.filter(user__in=people).values_list("user_id", "channels")
    chosen = {user_id: channels.get(kind.name) for user_id, channels in said}
    return {user_id: chosen.get(user_id) or kind.channel for user_id in people}


def _notice(kind: Kind, event: Event, one: Recipient, url: str, channel: str) -> Notice:
    return Notice(
        user_id=one.user_id,
        organisation_id=one.organisation_id,
        federation_id=event.federation_id,
        kind=kind.name,
        object_id=kind.object_of(event),
        needs=kind.need is not None,
        event=event,
        at=event.at,
        url=url,
        channel=channel,
    )
