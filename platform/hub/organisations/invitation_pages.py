"""Pages of invitations: those to oneself, the one that a link leads to, and those that one made."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from rest_framework.exceptions import Throttled

from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common.api.limits import Limit, address_of
from hub.common.forms import sent
from hub.common.pages import refusals_on
from hub.common.refusals import told
from hub.organisations import selectors, services
from hub.organisations.forms import ComingForm, InvitedForm
from hub.organisations.models import Invitation, InvitationKind, Organisation

SHOWN = 20
LIMIT = Limit("registration")


@require_safe
@login_required
def invitations(request: HttpRequest) -> HttpResponse:
    """Those that wait for the person's answer."""
    found = selectors.invitations_to(person_of(request))
    page = Paginator(found, SHOWN).get_page(request.GET.get("page"))
    return render(request, "organisations/invitations.html", {"page": page})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def invitation(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    """One to the person, who is signed in with its address."""
    held = selectors.invitations_to(person_of(request))
    found = get_object_or_404(held, pk=invitation_id)
    return _answered(request, found) if request.method == "POST" else _shown(request, found)


@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
@never_cache
def by_link(request: HttpRequest, secret: str) -> HttpResponse:
    """The one whose mail this link was in; opening it answers nothing yet."""
    try:
        found = _linked(request, secret)
    except Throttled:
        return render(request, "429.html", status=429)
    if request.method != "POST":
        return _shown(request, found)
    if "person" in request.POST and not request.user.is_authenticated:
        return _signed_up(request, found, secret)
    return _answered(request, found, secret)


def _linked(request: HttpRequest, secret: str) -> Invitation:
    """The invitation of the link; so many wrong ones an hour, then Throttled."""
    LIMIT.check(f"links {address_of(request)}")
    found = selectors.invitation_by(secret)
    if found is None:
        LIMIT.spend(f"links {address_of(request)}")
        raise Http404("no such invitation")
    return found


def _shown(
    request: HttpRequest, found: Invitation, form: InvitedForm | None = None
) -> HttpResponse:
    user = request.user if isinstance(request.user, User) else None
    context = {
        "invitation": found,
        "is_addressee": user is not None and _is_addressee(user, found),
        "form": form or InvitedForm(email=found.email),
        "coming": _coming(user, found) if user else None,
        "sign_in": _sign_in(request),
    }
    return render(request, "organisations/invitation.html", context)


def _is_addressee(user: User, found: Invitation) -> bool:
    return user.email == found.email or found.email in selectors.addresses_of(user)


def _coming(user: User, found: Invitation) -> ComingForm | None:
    """Which organisation comes, where an organisation is invited."""
    if found.kind == InvitationKind.PERSON:
        return None
    return ComingForm(coming=selectors.organisations_to_bring(user))


def _sign_in(request: HttpRequest) -> str:
    return f"{reverse('account_login')}?{urlencode({'next': request.path})}"


def _signed_up(request: HttpRequest, found: Invitation, secret: str) -> HttpResponse:
    """Make the account, if there is none; then whoever it is signs in, and comes back."""
    form = InvitedForm(request.POST, email=found.email)
    if form.is_valid():
        with refusals_on(form):
            LIMIT.spend(f"links {address_of(request)}")
            services.sign_up_invited(
                secret=secret,
                name=form.cleaned_data["person"],
                password=form.cleaned_data["password"],
            )
            messages.info(
                request,
                _("Now sign in as %(email)s. An account keeps its password.")
                % {"email": found.email},
            )
            return redirect(_sign_in(request))
    return _shown(request, found, form)


def _answered(request: HttpRequest, found: Invitation, secret: str = "") -> HttpResponse:
    user = request.user if isinstance(request.user, User) else None
    match request.POST.get("answer"):
        case "decline":
            return _declined(request, found, user, secret)
        case "accept" if user is not None:
            return _accepted(request, found, user, secret)
    return redirect(_sign_in(request))


def _declined(
    request: HttpRequest, found: Invitation, user: User | None, secret: str
) -> HttpResponse:
    then = request.path
    with told(request):
        services.decline_invitation(invitation_id=found.pk, user=user, secret=secret)
        messages.success(request, _("Declined. Those who invited you see it."))
        then = reverse("organisations:invitations") if user else then
    return redirect(then)


def _accepted(request: HttpRequest, found: Invitation, user: User, secret: str) -> HttpResponse:
    then = request.path
    with told(request):
        accepted = services.accept_invitation(
            user=user,
            invitation_id=found.pk,
            secret=secret,
            organisation_id=_brought(request, user, found),
        )
        messages.success(request, _("Accepted."))
        then = _after(accepted)
    return redirect(then)


def _brought(request: HttpRequest, user: User, found: Invitation) -> UUID | None:
    """The organisation that comes, if one is invited; raises Invalid."""
    if found.kind == InvitationKind.PERSON:
        return None
    form = ComingForm(request.POST, coming=selectors.organisations_to_bring(user))
    brought: Organisation = sent(form, "organisation")
    return brought.pk


def _after(accepted: Invitation) -> str:
    """Where what was accepted goes on: a federation's charter is signed on its own page."""
    if accepted.federation is not None:
        # Federations are a higher app: by name only.
        return reverse("federations:join", args=[accepted.federation.slug])
    assert accepted.accepted_for is not None
    return reverse("organisations:detail", args=[accepted.accepted_for.slug])


@require_POST
@login_required
def revoke(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    with told(request):
        services.revoke_invitation(invitation_id=invitation_id, user=person_of(request))
        messages.success(request, _("Revoked. The link in the mail opens nothing any more."))
    return redirect(_back(request, invitation_id))


@require_POST
@login_required
def resend(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    user = person_of(request)
    try:
        with told(request):
            Limit("invitations").spend(str(user.pk))
            services.resend_invitation(invitation_id=invitation_id, user=user)
            messages.success(request, _("Sent again, with a new link. The one before is dead."))
    except Throttled:
        messages.error(request, _("These were too many tries. Try again in an hour."))
    return redirect(_back(request, invitation_id))


def _back(request: HttpRequest, invitation_id: UUID) -> str:
    held = selectors.invitations_visible_to(person_of(request))
    found = get_object_or_404(held, pk=invitation_id)
    if found.kind == InvitationKind.HUB or found.organisation is None:
        return reverse("admin:organisations_organisation_registrations")
    if found.federation is not None:
        return reverse("federations:invitations", args=[found.federation.slug])
    return reverse("organisations:people", args=[found.organisation.slug])
