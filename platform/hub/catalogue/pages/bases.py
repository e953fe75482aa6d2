"""Pages of base models: one of them, its licence, and those on their way in."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import file_digest
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.catalogue import selectors
from hub.catalogue.bases import drafts, licences, mirrors
from hub.catalogue.bases.forms import DraftForm, FilesForm, MirrorForm
from hub.catalogue.bases.shelves import Shelf
from hub.catalogue.blobs.quotas import largest_senders, usage_of_federation, usage_of_organisation
from hub.catalogue.cards.recipes import base_loading_code, sending_code
from hub.catalogue.models import BaseModelDraft, DraftState
from hub.common.errors import DomainError
from hub.common.forms import OnceForm
from hub.common.pages import redirect_once, refusals_on
from hub.common.refusals import sentence_of, told
from hub.federations.models import ParticipationState
from hub.federations.selectors import federations_of
from hub.organisations.models import Organisation
from hub.organisations.selectors import organisations_visible_to

BASES_SHOWN = 50
SENDERS_SHOWN = 100


@require_safe
@login_required
def base(request: HttpRequest, slug: str) -> HttpResponse:
    """What it is, its licence and who has accepted it, its files, and who starts from it."""
    user = person_of(request)
    found = get_object_or_404(selectors.base_models().select_related("brought_by"), slug=slug)
    context = {
        "base": found,
        "shelf": Shelf(found, user),
        "federations": federations_of(user).filter(base_model=found),
        "code": base_loading_code(found),
    }
    return render(request, "catalogue/base.html", context)


@require_POST
@login_required
def accept(request: HttpRequest, slug: str, organisation: str) -> HttpResponse:
    """Accept the licence for an organisation of one's own."""
    user = person_of(request)
    found = get_object_or_404(selectors.base_models(), slug=slug)
    place = get_object_or_404(Organisation, slug=organisation, memberships__user=user)
    with told(request):
        licences.accept_licence(
            user=user,
            organisation_id=place.pk,
            base_model_id=found.pk,
            licence_digest=request.POST.get("licence_digest", ""),
        )
        messages.success(
            request,
            _("%(place)s has accepted the licence; its files are open to you.") % {"place": place},
        )
    return redirect("catalogue:base", found.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def bring(request: HttpRequest) -> HttpResponse:
    """Say what a new base model is; its files come on the next page."""
    user = person_of(request)
    form = DraftForm(request.POST or None, user=user)

    def begin() -> BaseModelDraft:
        return drafts.begin_draft(user=user, **form.service_fields())

    return _begun(request, form, begin, "catalogue/bring.html")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def mirror(request: HttpRequest) -> HttpResponse:
    """Have one fetched from another hub; for operators."""
    user = person_of(request)
    if not user.is_staff:
        raise PermissionDenied
    form = MirrorForm(request.POST or None)

    def begin() -> BaseModelDraft:
        return mirrors.begin_mirror(user=user, **form.cleaned_data)

    return _begun(request, form, begin, "catalogue/mirror.html")


def _begun(
    request: HttpRequest, form: OnceForm, begin: Callable[[], BaseModelDraft], template: str
) -> HttpResponse:
    if form.is_valid():
        with refusals_on(form):
            return redirect_once(request, form, lambda: _address(begin()))
    return render(request, template, {"form": form})


@require_safe
@login_required
def draft(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A base model on its way in: what has arrived, and what is to be done."""
    return _shown(request, _visible(person_of(request), pk), FilesForm())


def _visible(user: User, pk: UUID) -> BaseModelDraft:
    return get_object_or_404(
        selectors.drafts_of(user).select_related("organisation", "base_model", "begun_by"), pk=pk
    )


def _shown(request: HttpRequest, found: BaseModelDraft, form: FilesForm) -> HttpResponse:
    files = list(found.files.all())
    failed = _last_reason(found) if found.state in {DraftState.FAILED, DraftState.CLOSED} else ""
    context: dict[str, Any] = {
        "draft": found,
        "files": files,
        "form": form,
        "missing": sum(file.artifact_id is None for file in files),
        "size_bytes": sum(file.size_bytes for file in files),
        "limit_bytes": settings.UPLOAD_CHUNK_BYTES,
        "reason": failed,
        "code": sending_code(found.pk),
    }
    return render(request, "catalogue/draft.html", context)


def _last_reason(found: BaseModelDraft) -> str:
    return selectors.last_event(found.pk).reason


@require_POST
@login_required
def add_files(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take small files in, each looked into; those that are refused are named with the reason."""
    user = person_of(request)
    found = _visible(user, pk)
    form = FilesForm(request.POST, request.FILES)
    if not form.is_valid():
        return _shown(request, found, form)
    for path, file in form.paths.items():
        try:
            _add(user, found, path, file)
        except DomainError as refused:
            form.add_error("chosen", f"{path}: {sentence_of(refused)}")
    return _shown(request, found, form) if form.errors else redirect(_address(found))


def _add(user: User, found: BaseModelDraft, path: str, file: UploadedFile[bytes]) -> None:
    file.open("rb")
    size_bytes, sha256 = int(file.size or 0), file_digest(file, "sha256").hexdigest()
    announced = drafts.announce_file(
        user=user, draft_id=found.pk, path=path, sha256=sha256, size_bytes=size_bytes
    )
    if announced.artifact_id is None:
        file.seek(announced.offset)
        rest = size_bytes - announced.offset
        drafts.append(
            user=user,
            file_id=announced.pk,
            offset=announced.offset,
            length=rest,
            body=file,
        )


@require_POST
@login_required
def register(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _visible(person_of(request), pk)
    address = _address(found)
    with told(request):
        made = drafts.register_draft(user=person_of(request), draft_id=found.pk)
        messages.success(
            request, _("%(made)s is registered; federations can start from it.") % {"made": made}
        )
        address = reverse("catalogue:base", args=[made.slug])
    return redirect(address)


@require_POST
@login_required
def close(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _visible(person_of(request), pk)
    with told(request):
        drafts.close_draft(user=person_of(request), draft_id=found.pk)
        messages.success(request, _("Given up; its files are forgotten."))
    return redirect("catalogue:models")


@require_safe
@login_required
def storage(request: HttpRequest, slug: str) -> HttpResponse:
    """What an organisation's uploads and base models take, and may take."""
    found = get_object_or_404(organisations_visible_to(person_of(request)), slug=slug)
    context = {
        "nav": "organisations",  # marked by its address
        "organisation": found,
        "usage": usage_of_organisation(found.pk),
        "places": found.participations.filter(state=ParticipationState.ACTIVE).select_related(
            "federation"
        ),
        "bases": found.base_models.all()[:BASES_SHOWN],
    }
    return render(request, "catalogue/storage.html", context)


@require_safe
@login_required
def storages(request: HttpRequest) -> HttpResponse:
    """Which organisations have sent most; for operators."""
    if not person_of(request).is_staff:
        raise PermissionDenied
    context = {
        "senders": largest_senders(SENDERS_SHOWN),
        "limit": settings.ORGANISATION_QUOTA_BYTES,
    }
    return render(request, "catalogue/storages.html", context)


@require_safe
@login_required
def shared_storage(request: HttpRequest, slug: str) -> HttpResponse:
    """What a federation's updates and versions take, and may take."""
    found = get_object_or_404(federations_of(person_of(request)), slug=slug)
    usage = usage_of_federation(found.pk)
    context = {"nav": "federations", "federation": found, "usage": usage}
    return render(request, "catalogue/shared_storage.html", context)


def _address(found: BaseModelDraft) -> str:
    return reverse("catalogue:draft", args=[found.pk])
