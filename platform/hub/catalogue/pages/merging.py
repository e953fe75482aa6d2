"""A version merged with its base, as the page of its card shows it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from federation.plan import Plan
from hub.accounts.selectors import person_of
from hub.catalogue import selectors
from hub.catalogue.models import MergedModel, MergedState, ModelVersion
from hub.catalogue.versions.merging import changes_weights, want_merged
from hub.common.refusals import told


@require_POST
@login_required
def merge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have it made now; for everybody who may see the version."""
    user = person_of(request)
    version = get_object_or_404(selectors.versions_visible_to(user), pk=pk)
    with told(request):
        want_merged(version=version, again=True, actor=user.actor)
        messages.success(
            request,
            _("Version %(number)s is being merged with its base.") % {"number": version.number},
        )
    return redirect(reverse("catalogue:card", args=[pk]) + "#merged")


def merged_context(version: ModelVersion) -> dict[str, Any]:
    """What catalogue/parts/merged.html needs."""
    merged = MergedModel.objects.filter(version=version).first()
    is_ready = merged is not None and merged.state == MergedState.READY
    return {
        "is_mergeable": changes_weights(version),
        "merged": merged,
        "merging_code": _loading(version) if is_ready else "",
    }


def _loading(version: ModelVersion) -> str:
    model_class = Plan.model_validate_json(json.dumps(version.plan)).task.model_class
    return (
        f"from transformers import {model_class}\n\n"
        f"model = {model_class}.from_pretrained(\n"
        f'    "{version.repo}-merged", revision="v{version.number}"\n)'
    )
