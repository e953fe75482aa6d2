"""A person's own pages: profile and tokens. Password, second factor and sessions are allauth's."""

from __future__ import annotations

from allauth.account.views import password_set
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts import selectors, services
from hub.accounts.factors import (
    has_second_factor,
    next_of,
    page_of,
    recently_authenticated,
)
from hub.accounts.forms import LanguageForm, ProfileForm, TokenForm
from hub.accounts.selectors import person_of
from hub.common.languages import remember_here
from hub.common.pages import redirect_with_secret, refusals_on, secret_shown
from hub.common.refusals import told


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    user = person_of(request)
    form = ProfileForm(request.POST or None, initial={"name": user.name, "language": user.language})
    if form.is_valid():
        with refusals_on(form):
            services.rename_person(user=user, name=form.cleaned_data["name"])
            services.choose_language(user=user, language=form.cleaned_data["language"])
            response = redirect("accounts:profile")
            remember_here(request, response, form.cleaned_data["language"])
            messages.success(request, _("Saved."))
            return response
    context = {"form": form, "has_second_factor": has_second_factor(user)}
    return render(request, "accounts/profile.html", context)


@require_POST
@login_not_required
def language(request: HttpRequest) -> HttpResponse:
    """Speak another language from here on; who has not signed in has a cookie remember it."""
    form = LanguageForm(request.POST)
    if not form.is_valid():
        raise BadRequest
    chosen = form.cleaned_data["language"]
    response = redirect(page_of(request))
    if request.user.is_authenticated:
        services.choose_language(user=person_of(request), language=chosen)
    remember_here(request, response, chosen)
    return response


# allauth's own does not ask: a session that was stolen would get itself a password.
set_password = login_required(recently_authenticated(password_set))


@require_safe
@login_required
def again(request: HttpRequest) -> HttpResponse:
    """Sign in once more at the provider, for who has neither password nor second factor here."""
    return render(request, "accounts/again.html", {"next": next_of(request)})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@recently_authenticated
def tokens(request: HttpRequest) -> HttpResponse:
    """The person's tokens; a new one is shown once, on the page that follows its form."""
    user = person_of(request)
    form = TokenForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            token, secret = services.issue_token(user=user, **form.cleaned_data)
            return redirect_with_secret(request, name=token.name, secret=secret)
    context = {
        "form": form,
        "now": timezone.now(),
        "made": secret_shown(request),
        "tokens": selectors.tokens_of(user),
    }
    return render(request, "accounts/tokens.html", context)


@require_POST
@login_required
def revoke_token(request: HttpRequest, token_id: str) -> HttpResponse:
    with told(request):
        services.revoke_token(user=person_of(request), token_id=token_id)
        messages.success(request, _("Revoked. It opens nothing any more."))
    return redirect("accounts:tokens")
