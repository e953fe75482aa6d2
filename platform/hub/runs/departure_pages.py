"""The page before an organisation leaves: what stays of it, and what can be done about that."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from hub.accounts.selectors import person_of
from hub.common.refusals import told
from hub.federations.selectors import (
    MEMBERS,
    federations_of,
    participations_visible_to,
    standpoint,
)
from hub.organisations.permissions import Permission
from hub.runs.departures import Departure
from hub.runs.services import recompute_without


@require_safe
@login_required
def departure(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Also of a member that has left, for those who stay."""
    user = person_of(request)
    visible = participations_visible_to(user).filter(federation__in=federations_of(user))
    place = get_object_or_404(visible, pk=pk)
    seats = standpoint(user, place.federation)
    seat = next((one for one in seats.own if one.place.pk == place.pk), None)
    staying = [one for one in seats.own if one.place.pk != place.pk and one.place.state in MEMBERS]
    context = {
        "place": place,
        "federation": place.federation,
        "departure": Departure(place),
        "may_rebuild": any(one.may(Permission.START_RUNS) for one in staying),
        "may_leave": seat is not None and seat.may_sign,
    }
    return render(request, "runs/departure.html", context)


@require_POST
@login_required
def without(request: HttpRequest, pk: UUID, place: UUID) -> HttpResponse:
    """Have a round computed without an organisation's updates."""
    user = person_of(request)
    get_object_or_404(participations_visible_to(user), pk=place)
    with told(request):
        recompute_without(user=user, round_id=pk, participation_id=place)
        messages.success(request, _("It is being computed. The result appears here."))
    return redirect("runs:departure", place)
