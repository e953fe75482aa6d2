"""Pages on which an organisation comes in: with an account, or from outside with a new one."""

from __future__ import annotations

from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from hub.accounts.factors import remember_password
from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common import switches
from hub.common.api.limits import Limit, address_of
from hub.common.pages import redirect_once, refusals_on
from hub.organisations import services
from hub.organisations.forms import ConfirmForm, OrganisationForm, RegistrationForm

LIMIT = Limit("registration")


@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
@never_cache
def register(request: HttpRequest) -> HttpResponse:
    """Register an organisation: whoever is signed in owns it; a stranger says who they are."""
    if request.user.is_authenticated:
        return _register_own(request)
    if not switches.sign_up_is_open():
        return render(request, "account/signup_closed.html", status=403)
    form = RegistrationForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            LIMIT.spend(f"address {address_of(request)}")
            LIMIT.spend(f"account {form.cleaned_data['email'].lower()}")
            services.hand_in_registration(
                profile=services.Profile(**form.profile),
                person=form.cleaned_data["person"],
                email=form.cleaned_data["email"],
                password=form.cleaned_data["password"],
            )
            return redirect("organisations:handed-in")
    context = {"form": form, "by_mail": services.addresses_are_proved()}
    return render(request, "organisations/registration.html", context)


def _register_own(request: HttpRequest) -> HttpResponse:
    user = person_of(request)
    form = OrganisationForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            return redirect_once(request, form, lambda: _registered(user, form))
    return render(request, "organisations/register.html", {"form": form})


def _registered(user: User, form: OrganisationForm) -> str:
    made = services.register_organisation(user=user, **form.cleaned_data)
    return reverse("organisations:detail", args=[made.slug])


@require_safe
@login_not_required
def handed_in(request: HttpRequest) -> HttpResponse:
    """What happens next; the same page whether or not the address had an account."""
    context = {"by_mail": services.addresses_are_proved()}
    return render(request, "organisations/handed_in.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
@never_cache
def confirm(request: HttpRequest, secret: str) -> HttpResponse:
    """The link of the mail. Opening it does nothing yet: programs open links, too."""
    form = ConfirmForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            LIMIT.spend(f"secret {secret}")
            user, made = services.confirm_registration(
                secret=secret, password=form.cleaned_data["password"]
            )
            messages.success(
                request, _("Your address is confirmed, and your registration handed in.")
            )
            if user.last_login is None:  # made just now: no second factor could be asked for
                auth.login(request, user, backend=settings.AUTHENTICATION_BACKENDS[-1])
                remember_password(request, user)
            return redirect("organisations:detail", made.slug)
    return render(request, "organisations/confirm.html", {"form": form})
