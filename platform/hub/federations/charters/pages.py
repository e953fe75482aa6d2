"""Pages about what is agreed: the charter and its signatures, the policy, and who takes part."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.factors import recently_authenticated
from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common.forms import sent
from hub.common.pages import refusals_on
from hub.common.refusals import told
from hub.federations import selectors, services
from hub.federations.charters.boards import CharterBoard
from hub.federations.charters.forms import JoinForm, SignForm
from hub.federations.charters.licences import has_accepted, organisations_accepting
from hub.federations.charters.policywords import rules_of
from hub.federations.charters.services import sign_charter
from hub.federations.models import Federation, ParticipationState
from hub.federations.selectors import Seat

MEMBERS_SHOWN = 50


@require_safe
@login_required
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """Who takes part, as what, and what each has declared; for those who are inside."""
    user = person_of(request)
    found = visible(user, slug)
    standpoint = selectors.standpoint(user, found)
    if not standpoint.is_inside:
        raise Http404("not a member")
    page = Paginator(standpoint.members, MEMBERS_SHOWN).get_page(request.GET.get("page"))
    context = {"federation": found, "standpoint": standpoint, "page": page, "shown": "members"}
    return render(request, "federations/members_page.html", context)


@require_safe
@login_required
def charter(request: HttpRequest, slug: str) -> HttpResponse:
    """The text in force or, with `version`, an earlier one; what changed, and who signed."""
    user = person_of(request)
    found = visible(user, slug)
    wanted = request.GET.get("version", "")
    board = CharterBoard(
        found,
        selectors.standpoint(user, found, with_data=False),
        number=int(wanted[:9]) if wanted.isdecimal() else found.charter_number,
        page=request.GET.get("page"),
        older=request.GET.get("older"),
    )
    if board.shown is None:
        raise Http404("no such version of the charter")
    context = {
        "federation": found,
        "standpoint": board.standpoint,
        "board": board,
        "forms": _sign_forms(found, board.to_sign),
        "shown": "charter",
    }
    return render(request, "federations/charter_page.html", context)


def _sign_forms(found: Federation, seats: Sequence[Seat]) -> list[tuple[Seat, SignForm]]:
    accepted = organisations_accepting(found) if seats else frozenset()
    return [
        (
            seat,
            SignForm(
                federation=found,
                is_accepted=accepted is None or seat.place.organisation_id in accepted,
                auto_id=f"id_{seat.place.pk}_%s",
            ),
        )
        for seat in seats
    ]


@require_POST
@login_required
@recently_authenticated
def sign(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    """Sign the present text for one's organisation."""
    user = person_of(request)
    places = selectors.participations_visible_to(user).select_related("federation__base_model")
    place = get_object_or_404(places, pk=participation_id)
    accepted = has_accepted(place.federation, place.organisation)
    form = SignForm(request.POST, federation=place.federation, is_accepted=accepted)
    with told(request):
        sent(form, "agree")
        signed = sign_charter(user=user, participation_id=place.pk, **sent_digests(form))
        messages.success(
            request,
            _("%(organisation)s has signed version %(charter_number)s of the charter.")
            % {"organisation": place.organisation, "charter_number": signed.charter_number},
        )
    return redirect("federations:charter", place.federation.slug)


def sent_digests(form: SignForm) -> dict[str, str]:
    return {
        "charter_digest": sent(form, "charter_digest"),
        "licence_digest": form.cleaned_data["licence_digest"],
    }


@require_safe
@login_required
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    """What is agreed, in words."""
    user = person_of(request)
    found = visible(user, slug)
    context = {
        "federation": found,
        "standpoint": selectors.standpoint(user, found, with_data=False),
        "rules": rules_of(found),
        "shown": "policy",
    }
    return render(request, "federations/policy_page.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@recently_authenticated
def join(request: HttpRequest, slug: str) -> HttpResponse:
    """Read the charter, sign it for an organisation, and ask to be let in or be in at once."""
    user = person_of(request)
    found = visible(user, slug)
    form = JoinForm(request.POST or None, user=user, federation=found)
    if form.is_valid():
        with refusals_on(form):
            place = services.request_to_join(
                user=user, federation_id=found.pk, **form.service_fields()
            )
            is_in = place.state == ParticipationState.ACTIVE
            joined = _("%(organisation)s has signed and takes part.")
            done = joined if is_in else _("%(organisation)s has signed and asks to join.")
            messages.success(request, done % {"organisation": place.organisation})
            return redirect(address(found))
    rule = found.typed_policy.join
    context = {"federation": found, "form": form, "rule": rule, "rules": rules_of(found)}
    return render(request, "federations/join.html", context)


def visible(user: User, slug: str) -> Federation:
    """Raises Http404: it is not there, or not the person's to see."""
    found = selectors.federations_visible_to(user).select_related("base_model")
    return get_object_or_404(found, slug=slug)


def address(found: Federation) -> str:
    return reverse("federations:detail", args=[found.slug])
