"""Needs that are gone: somebody has done it, or it is not to be done any more."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce, Now

from hub.notices.kinds import BY_NAME
from hub.notices.models import Notice
from hub.organisations.models import Membership


def settle_needs() -> int:
    """Settle what does not stand any more, for all its readers at once; returns how many."""
    kinds = _waiting().order_by().values_list("kind", flat=True).distinct()
    return sum(_settled(name) for name in kinds)


def _settled(name: str) -> int:
    kind = BY_NAME.get(name)
    waiting = _waiting().filter(kind=name)
    if kind is not None and kind.need is not None:
        acting = Membership.objects.filter(
            user=OuterRef("user_id"), organisation=OuterRef("organisation_id")
        )
        gone = waiting.exclude(organisation__isnull=True).filter(~Exists(acting))
        return _settle(waiting.filter(~kind.need.stands())) + _settle(gone)
    return _settle(waiting)  # a kind that is no more


def _waiting() -> QuerySet[Notice]:
    return Notice.objects.filter(needs=True, settled_at__isnull=True)


def _settle(rows: QuerySet[Notice]) -> int:
    return rows.update(settled_at=Now(), read_at=Coalesce("read_at", Now()))
