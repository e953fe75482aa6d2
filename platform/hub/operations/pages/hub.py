"""The hub as a whole: maintenance, the announcement, and the switches, each with its act."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest
from django.utils import timezone

from hub.common import switches
from hub.common.models import Switchboard
from hub.operations.models import Process
from hub.operations.pages.parts import Cell, Section, acts_of, moment
from hub.operations.switching import switchboard


def sections(request: HttpRequest) -> Iterator[Section]:
    board = switchboard()
    yield _maintenance(board, request)
    yield _announcement(board, request)
    yield _registration(board, request)


def _maintenance(board: Switchboard, request: HttpRequest) -> Section:
    acts = acts_of(board, request, "maintain", "reopen").acts
    if not board.is_in_maintenance:
        lead = "Off: everybody may write."
        return Section("Maintenance", lead=lead, acts=acts)
    busy = [one for one in Process.objects.filter(ended_at__isnull=True) if one.doing]
    at_work = ", ".join(process.name for process in busy)
    return Section(
        "Maintenance",
        lead="On: nobody writes but operators, and new jobs are held.",
        facts=[
            ("Since", moment(board.maintenance_since)),
            ("Announced until", moment(board.maintenance_until, "nothing was said")),
            ("What people read", Cell(board.maintenance_note or "–")),
            ("Workers that still finish something", Cell(at_work or "none")),
        ],
        acts=acts,
        is_attention=True,
    )


def _announcement(board: Switchboard, request: HttpRequest) -> Section:
    acts = acts_of(board, request, "announce", "take_down").acts
    if not board.banner_text:
        return Section("Announcement", lead="Nothing is announced.", acts=acts)
    is_up = board.shows_banner(timezone.now())
    return Section(
        "Announcement",
        facts=[
            ("Text", Cell(board.banner_text)),
            ("Level", Cell(board.get_banner_level_display())),
            ("From", moment(board.banner_from)),
            ("Until", moment(board.banner_until, "it is taken down")),
            ("Now", Cell("shown" if is_up else "not shown", tone="active" if is_up else "neutral")),
        ],
        acts=acts,
    )


def _registration(board: Switchboard, request: HttpRequest) -> Section:
    by_itself = switches.approves_organisations()
    said = "" if board.approves_by_itself is not None else "as AUTO_APPROVE_ORGANISATIONS says"
    names = ("close_sign_up", "open_sign_up", "approve_by_itself", "approve_by_hand")
    return Section(
        "Who may come in",
        facts=[
            ("Sign-up", Cell("open" if board.sign_up_open else "closed")),
            (
                "Registrations are approved",
                Cell("automatically" if by_itself else "by hand", note=said),
            ),
        ],
        acts=acts_of(board, request, *names).acts,
    )
