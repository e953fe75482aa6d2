"""The API's own pages: where things are, the plan's schema, the description and its reference."""

from __future__ import annotations

from typing import Any

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from federation.plan import Plan
from federation.protocol import PROTOCOL_VERSION
from hub.common import switches
from hub.common.api.permissions import Anyone
from hub.common.api.views import ApiView

PLACES = (
    "me",
    "tokens",
    "organisations",
    "agents",
    "federations",
    "participations",
    "base-models",
    "runs",
    "rounds",
    "tasks",
    "updates",
    "versions",
    "contributions",
    "notices",
    "webhooks",
    "events",
    "plan-schema",
    "schema",
)
OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}


class RootView(ApiView):
    authentication_classes = ()
    permission_classes = (Anyone,)

    @extend_schema(operation_id="root", responses={200: OBJECT})
    def get(self, request: Request) -> Response:
        """Where things are, and what operators have to say: `maintenance` and `banner`."""
        places = {name: request.build_absolute_uri(f"/api/v1/{name}") for name in PLACES}
        said = {"version": "v1", "protocol": PROTOCOL_VERSION, **_said_to_all()}
        return Response({**said, **places})


def _said_to_all() -> dict[str, Any]:
    """Null where there is nothing to say."""
    board = switches.present()
    maintenance = {
        "since": board.maintenance_since,
        "until": board.maintenance_until,
        "note": board.maintenance_note,
    }
    banner = {
        "text": board.banner_text,
        "level": board.banner_level,
        "until": board.banner_until,
    }
    return {
        "maintenance": maintenance if board.is_in_maintenance else None,
        "banner": banner if board.shows_banner(timezone.now()) else None,
    }


class PlanSchemaView(ApiView):
    authentication_classes = ()
    permission_classes = (Anyone,)

    @extend_schema(operation_id="plan_schema", responses={200: OBJECT})
    def get(self, request: Request) -> Response:
        """The JSON schema of a plan: what a run is made of, with bounds and defaults."""
        return Response(Plan.model_json_schema())


class SchemaView(SpectacularAPIView):
    authentication_classes = ()
    permission_classes = (Anyone,)


@login_not_required
@csp_update({"style-src": [UNSAFE_INLINE]})  # type: ignore[untyped-decorator]
@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """The rendered reference; its scripts and styles come out of a package, not off a CDN."""
    return render(request, "common/reference.html")
