"""Pages of the record: what happened, one event in full, and who signed which text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hub.accounts.selectors import person_of
from hub.audit import selectors, services
from hub.audit.exporting import Format
from hub.audit.forms import AuditForm
from hub.audit.lines import lines_of
from hub.audit.selectors import Question, Readable
from hub.common.errors import Forbidden
from hub.common.models import Event

EVENTS_SHOWN = 50
TEXTS_SHOWN = 25
LONGEST_ID = 18  # digits


@require_safe
@login_required
def events(request: HttpRequest) -> HttpResponse:
    """The newest first; `before` leads to older ones."""
    readable = _readable(request)
    form = AuditForm(request.GET)
    found = form.question().of(readable.events()) if form.is_valid() else Event.objects.none()
    if before := _number(request.GET.get("before", "")):
        found = found.filter(pk__lt=before)
    shown = list(found.order_by("-pk")[: EVENTS_SHOWN + 1])
    page = shown[:EVENTS_SHOWN]
    asked = _asked(request)
    context = {
        "form": form,
        "asked": asked,
        "export": urlencode(asked),
        "lines": lines_of(page),
        "before": before,
        "older": page[-1].pk if len(shown) > EVENTS_SHOWN else None,
    }
    return render(request, "audit/events.html", context)


@require_safe
@login_required
def event(request: HttpRequest, pk: int) -> HttpResponse:
    """One event with all that was kept of it."""
    found = get_object_or_404(_readable(request).events(), pk=min(pk, 2**63 - 1))
    data = json.dumps(found.data, indent=2, ensure_ascii=False, sort_keys=True)
    return render(request, "audit/event.html", {"line": lines_of([found])[0], "data": data})


@require_safe
@login_required
def texts(request: HttpRequest) -> HttpResponse:
    """Who signed which charter and accepted which licence, with the digest of the text."""
    readable = _readable(request)
    signed = Paginator(readable.signatures(), TEXTS_SHOWN).get_page(request.GET.get("page"))
    accepted = Paginator(readable.acceptances(), TEXTS_SHOWN).get_page(request.GET.get("licences"))
    return render(request, "audit/texts.html", {"signed": signed, "accepted": accepted})


@require_safe
@login_required
def export(request: HttpRequest, form: Format) -> HttpResponseBase:
    """What the filters find, as a file; that it was taken is on record."""
    readable = _readable(request)
    asked = AuditForm(request.GET)
    question = asked.question() if asked.is_valid() else _nothing(asked)
    made = services.export(readable=readable, question=question, form=form)
    return services.export_response(made)


def _nothing(form: AuditForm) -> Question:
    raise PermissionDenied(
        _("These are no filters: %(errors)s.") % {"errors": ", ".join(form.errors)}
    )


def _readable(request: HttpRequest) -> Readable:
    try:
        return selectors.readable_by(person_of(request))
    except Forbidden as forbidden:
        raise PermissionDenied(forbidden.detail) from forbidden


def _asked(request: HttpRequest) -> Mapping[str, str]:
    """The filters that are set, for links that keep them."""
    return {name: text for name in AuditForm.base_fields if (text := request.GET.get(name, ""))}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_ID else 0
