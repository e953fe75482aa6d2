"""What pages have in common, and the pages of no app."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from rest_framework.exceptions import Throttled

from hub.common import handbook
from hub.common.errors import DomainError, Forbidden, NotFound
from hub.common.forms import OnceForm
from hub.common.refusals import sentence_of
from hub.common.services import Answer, answer_once
from hub.common.styleguide import StyleguideForm


@contextmanager
def refusals_on(form: BaseForm) -> Iterator[None]:
    """What the domain refuses inside the block becomes an error of the form.

    Raises:
        Http404, PermissionDenied: the form is not the person's to send.
    """
    try:
        yield
    except NotFound as absent:
        raise Http404(absent.detail) from absent
    except Forbidden as forbidden:
        raise PermissionDenied(forbidden.detail) from forbidden
    except DomainError as refusal:
        form.add_error(None, sentence_of(refusal))
    except Throttled:
        form.add_error(None, _("These were too many tries. Try again in an hour."))


def redirect_once(request: HttpRequest, form: OnceForm, make: Callable[[], str]) -> HttpResponse:
    """Make what a form asks for and go to the address that `make` returns.

    The same form sent again goes to the same address and makes nothing. Who goes back, changes
    something and sends it wants another thing made: the key counts with what was sent.
    """
    digest = _digest(request)
    given = answer_once(
        scope=f"user:{request.user.pk}",
        key=f"page:{form.key}:{digest}",
        digest=digest,
        answer=lambda: Answer(302, make()),
    )
    return redirect(given.body)


def redirect_with_secret(request: HttpRequest, *, name: str, secret: str) -> HttpResponse:
    """Go to the same page to show what was just made there: loading it again makes nothing.

    Until then the secret waits in the person's session; `secret_shown` takes it out.
    """
    request.session[f"secret:{request.path}"] = [name, secret]
    return redirect(request.path)


def secret_shown(request: HttpRequest) -> tuple[str, str] | None:
    """Name and text of the secret that this page's form has just made; once, and then no more."""
    if request.method != "GET":
        return None
    kept = request.session.pop(f"secret:{request.path}", None)
    return (kept[0], kept[1]) if kept else None


def _digest(request: HttpRequest) -> str:
    sent = {name: values for name, values in request.POST.lists() if name != "csrfmiddlewaretoken"}
    asked = json.dumps([request.path, sent], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


@login_not_required
@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    """What each error code means; the `type` of every problem document leads here."""
    return render(request, "common/problems.html", {"document": handbook.read("problems.md")})


@login_not_required
@require_safe
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component in every state, for those who build pages."""
    if not (settings.DEBUG or getattr(request.user, "is_staff", False)):
        raise Http404
    context = {"form": StyleguideForm(), "invalid": StyleguideForm({"email": "nobody"})}
    return render(request, "common/styleguide.html", context)
