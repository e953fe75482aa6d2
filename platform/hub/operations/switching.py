"""What operators set for the whole hub. Each leaves an event; said twice, it is once.

Every process acts on it within a second (`hub.common.switches`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hub.common import switches, text
from hub.common.actors import Actor
from hub.common.errors import Invalid
from hub.common.models import BannerLevel, Event, Switchboard
from hub.runs.services import standstill

THE_HUB = UUID(int=0)  # subject of events about the hub as a whole


def switchboard() -> Switchboard:
    """The row, made when it is first looked for."""
    return Switchboard.objects.get_or_create(pk=Switchboard.THE_ONE)[0]


@transaction.atomic
def begin_maintenance(
    *, actor: Actor, reason: str, note: str = "", minutes: int | None = None
) -> None:
    """Have nobody write but operators; `minutes` is what people and agents are told it takes.

    New jobs are held, those that workers have are finished, and no deadline passes.
    """
    board = _locked()
    if board.is_in_maintenance:
        return
    now = timezone.now()
    board.maintenance_since = now
    board.maintenance_until = now + timedelta(minutes=minutes) if minutes else None
    board.maintenance_note = text.line(note, most=300)
    _kept(board)
    record("hub.maintenance_begun", actor=actor, reason=reason, note=board.maintenance_note)


@transaction.atomic
def end_maintenance(*, actor: Actor, reason: str) -> None:
    """Let everybody write again; deadlines and leases move on by the time that it took."""
    board = _locked()
    if board.maintenance_since is None:
        return
    took = timezone.now() - board.maintenance_since
    standstill.after_maintenance(by=took)
    board.maintenance_since = board.maintenance_until = None
    board.maintenance_note = ""
    _kept(board)
    minutes = round(took.total_seconds() / 60)
    record("hub.maintenance_ended", actor=actor, reason=reason, minutes=minutes)


@transaction.atomic
def announce(
    *,
    actor: Actor,
    reason: str,
    words: str,
    level: str = BannerLevel.INFO,
    begins: datetime | None = None,
    ends: datetime | None = None,
) -> None:
    """Show a sentence on every page, in place of the one before.

    Raises:
        Invalid: it would end before it begins, or has ended.
    """
    begins = begins or timezone.now()
    if ends is not None and ends <= max(begins, timezone.now()):
        raise Invalid("An announcement ends after it begins, and not in the past.")
    board = _locked()
    said = (text.line(words, least=1, most=300), BannerLevel(level).value, ends)
    if said == (board.banner_text, board.banner_level, board.banner_until):
        return
    board.banner_text, board.banner_level, board.banner_until = said
    board.banner_from = begins
    _kept(board)
    record("hub.announced", actor=actor, reason=reason, words=board.banner_text)


@transaction.atomic
def take_down(*, actor: Actor, reason: str) -> None:
    """Show no announcement any more."""
    board = _locked()
    if not board.banner_text:
        return
    board.banner_text, board.banner_from, board.banner_until = "", None, None
    _kept(board)
    record("hub.announcement_taken_down", actor=actor, reason=reason)


@transaction.atomic
def set_sign_up(*, is_open: bool, actor: Actor, reason: str) -> None:
    """Let people make themselves an account and register organisations, or do not."""
    board = _locked()
    if board.sign_up_open != is_open:
        board.sign_up_open = is_open
        _kept(board)
        what = "opened" if is_open else "closed"
        record(f"hub.sign_up_{what}", actor=actor, reason=reason)


@transaction.atomic
def set_approval(*, by_itself: bool, actor: Actor, reason: str) -> None:
    """Have registrations approved without an operator, or by one; over what the setting says."""
    board = _locked()
    if board.approves_by_itself != by_itself:
        board.approves_by_itself = by_itself
        _kept(board)
        what = "automatic" if by_itself else "manual"
        record(f"hub.approval_{what}", actor=actor, reason=reason)


def record(kind: str, *, actor: Actor, reason: str, **data: Any) -> Event:
    """Leave an event about the hub as a whole."""
    return Event.objects.create(
        kind=kind,
        subject_id=THE_HUB,
        reason=reason[:500],
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label[:200],
        data=data,
    )


def _locked() -> Switchboard:
    switchboard()
    return Switchboard.objects.select_for_update().get(pk=Switchboard.THE_ONE)


def _kept(board: Switchboard) -> None:
    board.save()
    switches.forget()
