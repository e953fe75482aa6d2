"""The inbox, how one is told, and the way out of a letter."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.selectors import person_of
from hub.common.pages import refusals_on
from hub.common.refusals import told
from hub.notices import services
from hub.notices.errors import LinkUnreadable
from hub.notices.forms import FilterForm, SettingsForm
from hub.notices.kinds import label_of
from hub.notices.mail.letters import has_confirmed_address
from hub.notices.selectors import (
    federations_told_of,
    items,
    needs_of,
    news_of,
    settings_of,
)

NEWS_SHOWN, NEEDS_SHOWN = 25, 100


@require_safe
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    user = person_of(request)
    form = FilterForm(request.GET, federations=federations_told_of(user))
    news = Paginator(news_of(user).filter(**form.chosen), NEWS_SHOWN)
    page = news.get_page(request.GET.get("page"))
    asked = request.GET.copy()
    asked.pop("page", None)
    context = {
        "form": form,
        "chosen": form.chosen,
        "needs": items(needs_of(user).filter(**form.chosen)[:NEEDS_SHOWN]),
        "page": page,
        "news": items(page),
        "filters": asked.urlencode(),
    }
    return render(request, "notices/inbox.html", context)


@require_POST
@login_required
def open_(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Go where a notice leads; it is read then."""
    address = "notices:inbox"
    with told(request):
        address = services.open_notice(user=person_of(request), notice_id=pk)
    return redirect(address)


@require_POST
@login_required
def read(request: HttpRequest, pk: UUID) -> HttpResponse:
    with told(request):
        services.mark_read(user=person_of(request), notice_id=pk)
    return redirect("notices:inbox")


@require_POST
@login_required
def read_all(request: HttpRequest) -> HttpResponse:
    services.mark_all_read(user=person_of(request))
    messages.success(request, _("Everything is marked as read."))
    return redirect("notices:inbox")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def settings(request: HttpRequest) -> HttpResponse:
    user = person_of(request)
    form = SettingsForm(request.POST or None, held=settings_of(user), is_operator=user.is_staff)
    if form.is_valid():
        with refusals_on(form):
            hour = form.cleaned_data["digest_hour"]
            services.save_settings(user=user, channels=form.channels, digest_hour=hour)
            messages.success(request, _("Saved."))
            return redirect("notices:settings")
    context = {"form": form, "has_confirmed_address": has_confirmed_address(user)}
    return render(request, "notices/settings.html", context)


@csrf_exempt  # the link itself is the proof, and mail programs post it without cookies: RFC 8058
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Ask, and when posted stop the mails that the link is about; nobody signs in."""
    try:
        kinds = services.kinds_in(token)[1]
        is_done = request.method == "POST"
        if is_done:
            kinds = services.unsubscribe(token=token)
    except LinkUnreadable as unreadable:
        raise Http404(unreadable.detail) from unreadable
    context = {"labels": [label_of(name) for name in kinds], "is_done": is_done}
    return render(request, "notices/unsubscribe.html", context)
