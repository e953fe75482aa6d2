"""Reads of notices: each person's own, as far as they still act for whom they were told through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Func, IntegerField, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable

from hub.accounts.models import User
from hub.common.feed import told
from hub.federations.models import Federation
from hub.notices.kinds import BY_NAME, KINDS, Kind, label_of
from hub.notices.models import Channel, Notice, NoticeSettings
from hub.organisations.models import Membership

WAITING = Q(needs=True, settled_at__isnull=True)
MOST_COUNTED = 99


def inbox_of(user: User) -> QuerySet[Notice]:
    """All that the person was told, the newest first."""
    acting = Membership.objects.filter(user=user).values("organisation")
    theirs = Q(organisation__isnull=True) | Q(organisation__in=acting)
    held = Notice.objects.filter(theirs, user=user).order_by("-at", "-id")
    return held.select_related("event", "federation")


def needs_of(user: User) -> QuerySet[Notice]:
    """What waits for the person."""
    return inbox_of(user).filter(WAITING)


def news_of(user: User) -> QuerySet[Notice]:
    """What does not, or not any more."""
    return inbox_of(user).exclude(WAITING)


def unread_of_person() -> Combinable:
    """How many are unread, counted up to one more than is said: of a row of `User`."""
    acting = Membership.objects.filter(user=OuterRef("user")).values("organisation")
    theirs = Q(organisation__isnull=True) | Q(organisation__in=acting)
    unread = Notice.objects.filter(theirs, user=OuterRef("pk"), read_at__isnull=True)
    ids = ArraySubquery(unread.order_by().values("pk")[: MOST_COUNTED + 1])
    return Func(ids, function="CARDINALITY", output_field=IntegerField())


def federations_told_of(user: User) -> QuerySet[Federation]:
    """Those that notices of the person are about."""
    about = inbox_of(user).order_by().values("federation")
    return Federation.objects.filter(pk__in=about).order_by("name")


@dataclass(frozen=True, slots=True)
class Item:
    """A notice in words."""

    notice: Notice
    label: str
    sentence: str
    state: str  # gives tone and drawing
    action: str  # what it needs; empty: nothing


def items(notices: Iterable[Notice]) -> list[Item]:
    """Needs their events."""
    held = list(notices)
    lines = told(one.event for one in held)
    return [
        Item(one, label_of(one.kind), line.sentence, line.state, _action(one))
        for one, line in zip(held, lines, strict=True)
    ]


def _action(notice: Notice) -> str:
    kind = BY_NAME.get(notice.kind)
    return str(kind.need.action) if notice.waits and kind and kind.need else ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """How a person is told of one kind."""

    kind: Kind
    channel: Channel


def settings_of(user: User) -> NoticeSettings:
    """The person's; unsaved where they have said nothing yet."""
    return NoticeSettings.objects.filter(user=user).first() or NoticeSettings(user=user)


def channels_of(held: NoticeSettings) -> list[Chosen]:
    """Every kind with the way that the person chose, or the usual one."""
    return [Chosen(kind, Channel(held.channels.get(kind.name, kind.channel))) for kind in KINDS]
