"""The card of a version as a page, and what takes the version elsewhere."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe
from markdown_it import MarkdownIt

from hub.accounts.selectors import person_of
from hub.catalogue import selectors
from hub.catalogue.blobs.storage import store
from hub.catalogue.cards.archives import archive_response
from hub.catalogue.cards.attestations import SIGNATURE
from hub.catalogue.cards.pushes import may_push, push_version
from hub.catalogue.models import ModelVersion, VersionFile
from hub.catalogue.pages.merging import merged_context
from hub.catalogue.versions.lines import with_origin
from hub.common.forms import LineField
from hub.common.pages import refusals_on
from hub.common.text import readable

CARD = "README.md"
LARGEST_CARD = 1 << 20  # bytes
BEFORE = re.compile(r"\A---\n.*?\n---\n(\n# [^\n]*\n)?", re.DOTALL)  # metadata and title
PUSHES_SHOWN = 10


class PushForm(forms.Form):
    """Where a version is to go, with a token that is used for this and then forgotten."""

    endpoint = forms.ChoiceField(label=_lazy("Hub"), choices=())
    repo = LineField(
        label=_lazy("Repository"), max_length=193, help_text=_lazy("As owner/name over there.")
    )
    token = forms.CharField(
        label=_lazy("Token"),
        max_length=400,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_lazy(
            "Of that hub, with the right to write. It is kept sealed until the copy is done."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(endpoint, endpoint) for endpoint in settings.PUSH_ENDPOINTS]
        self.fields["endpoint"].choices = choices  # type: ignore[attr-defined]


@require_safe
@login_required
def card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the version says of itself, its commits and how to check and take it."""
    return _page(request, _found(request, pk), PushForm())


@require_http_methods(["POST"])
@login_required
@sensitive_post_parameters("token")
def push(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have it copied to another hub; for owners of an organisation that takes part."""
    version, user = _found(request, pk), person_of(request)
    form = PushForm(request.POST)
    if form.is_valid():
        with refusals_on(form):
            asked = push_version(user=user, version_id=pk, **form.cleaned_data)
            messages.success(
                request,
                _("%(repo)s gets version %(number)s in a moment.")
                % {"repo": asked.repo, "number": version.number},
            )
            return redirect("catalogue:card", pk)
    return _page(request, version, form)


@require_safe
@login_required
def archive(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """All files of the newest commit as one zip."""
    return archive_response(_found(request, pk))


def _found(request: HttpRequest, pk: UUID) -> ModelVersion:
    visible = with_origin(selectors.versions_visible_to(person_of(request)))
    return get_object_or_404(visible, pk=pk)


def _page(request: HttpRequest, version: ModelVersion, form: PushForm) -> HttpResponse:
    files = {file.path: file for file in version.files}
    commits = list(version.commits.order_by("-number"))
    context = {
        "version": version,
        "html": as_html(files.get(CARD)),
        "commits": commits,
        "is_signed": SIGNATURE in files,
        "size_bytes": sum(file.artifact.size_bytes for file in files.values()),
        "form": form,
        "may_push": bool(settings.PUSH_ENDPOINTS) and may_push(person_of(request), version),
        **merged_context(version),
        "pushes": version.pushes.select_related("asked_by", "commit")[:PUSHES_SHOWN],
        "verify": f"foedus-verify model {version.federation.slug}-{version} "
        f"--key {settings.PUBLIC_URL}",
    }
    return render(request, "catalogue/card.html", context)


def as_html(file: VersionFile | None) -> SafeString:
    """The card without its metadata and its title, which the page has.

    What people typed was escaped when it was written; to this parser markup is text as well.
    """
    if file is None or file.artifact.size_bytes > LARGEST_CARD:
        return SafeString()
    with closing(store().open(file.artifact_id)) as source:
        text = source.read(LARGEST_CARD).decode(errors="replace")
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    return readable(parser.render(BEFORE.sub("", text, count=1)))
