"""Pages of an organisation's webhooks: make one, see what was delivered, send it again."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common.errors import Forbidden, NotFound
from hub.common.pages import redirect_with_secret, refusals_on, secret_shown
from hub.common.refusals import told
from hub.notices.forms import WebhookChangeForm, WebhookForm
from hub.notices.hooks import services
from hub.notices.hooks.selectors import (
    deliveries_managed_by,
    require_webhook,
    webhooks_managed_by,
)
from hub.notices.kinds import label_of
from hub.notices.models import Delivery, Webhook
from hub.organisations.models import Organisation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import membership_of, organisations_of

DELIVERIES_SHOWN = 25


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def webhooks(request: HttpRequest, slug: str) -> HttpResponse:
    """An organisation's webhooks, and the form for another one."""
    user = person_of(request)
    organisation = _managed(user, slug)
    form = WebhookForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            made, secret = services.make_webhook(
                user=user, organisation_id=organisation.pk, **form.cleaned_data
            )
            return redirect_with_secret(request, name=made.name, secret=secret)
    context = {
        "organisation": organisation,
        "webhooks": webhooks_managed_by(user).filter(organisation=organisation),
        "form": form,
        "made": secret_shown(request),
    }
    return render(request, "notices/webhooks.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def webhook(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One webhook: what it is told, and what was delivered."""
    user = person_of(request)
    found = _found(request, pk)
    initial = {"name": found.name, "kinds": found.kinds}
    form = WebhookChangeForm(request.POST or None, initial=initial)
    if form.is_valid():
        with refusals_on(form):
            services.change_webhook(user=user, webhook_id=pk, **form.cleaned_data)
            messages.success(request, _("Saved."))
            return redirect("notices:webhook", pk)
    deliveries = deliveries_managed_by(user).filter(webhook=found)
    page = Paginator(deliveries, DELIVERIES_SHOWN).get_page(request.GET.get("page"))
    context = {
        "webhook": found,
        "form": form,
        "page": page,
        "deliveries": [(one, label_of(one.kind)) for one in page],
        "made": secret_shown(request),
        "now": timezone.now(),
    }
    return render(request, "notices/webhook.html", context)


@require_POST
@login_required
def rotate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make a new secret, shown on the webhook's page that follows."""
    with told(request):
        found, secret = services.rotate_secret(user=person_of(request), webhook_id=pk)
        address = reverse("notices:webhook", args=[pk])
        request.session[f"secret:{address}"] = [found.name, secret]
    return redirect("notices:webhook", pk)


@require_POST
@login_required
def disable(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _done(request, pk, services.disable_webhook, _("Switched off. What happens waits."))


@require_POST
@login_required
def enable(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _done(request, pk, services.enable_webhook, _("Switched on."))


@require_POST
@login_required
def remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    user, found = person_of(request), _found(request, pk)
    with told(request):
        services.remove_webhook(user=user, webhook_id=pk)
        messages.success(request, _("Removed, with its secret."))
    return redirect("notices:webhooks", found.organisation.slug)


@require_POST
@login_required
def replay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Send a delivery again; it is the same message to its receiver."""
    delivery = get_object_or_404(Delivery, pk=pk)
    with told(request):
        services.replay_delivery(user=person_of(request), delivery_id=pk)
        messages.success(request, _("It is sent again within seconds."))
    return redirect("notices:webhook", delivery.webhook_id)


def _done(request: HttpRequest, pk: UUID, act: Callable[..., Webhook], words: str) -> HttpResponse:
    with told(request):
        act(user=person_of(request), webhook_id=pk)
        messages.success(request, words)
    return redirect("notices:webhook", pk)


def _found(request: HttpRequest, pk: UUID) -> Webhook:
    """Raises Http404, PermissionDenied."""
    try:
        return require_webhook(person_of(request), pk)
    except NotFound as absent:
        raise Http404(absent.detail) from absent
    except Forbidden as forbidden:
        raise PermissionDenied(forbidden.detail) from forbidden


def _managed(user: User, slug: str) -> Organisation:
    found = get_object_or_404(organisations_of(user), slug=slug)
    own = membership_of(user, found)
    if own is None or not own.may(Permission.MANAGE_WEBHOOKS):
        raise PermissionDenied(
            _("Your role may not %(label)s.") % {"label": Permission.MANAGE_WEBHOOKS.label}
        )
    return found
