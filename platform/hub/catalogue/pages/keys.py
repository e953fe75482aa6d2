"""The keys that versions are signed with, where anybody can find them."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from hub.catalogue.models import ModelKey


@login_not_required
@require_safe
def model_keys(_: HttpRequest) -> JsonResponse:
    """Every key that ever signed a version here, the newest last; for `foedus-verify`."""
    keys = ModelKey.objects.values("key_id", "pem", "created_at")
    answer = JsonResponse({"keys": list(keys)})
    answer["Cache-Control"] = "public, max-age=300"
    return answer
