"""Where everything hangs. Each app brings its pages and its part of the API."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from hub.common.api.root import PlanSchemaView, RootView, SchemaView, reference

api: list[URLPattern | URLResolver] = [
    path("", RootView.as_view(), name="api-root"),
    path("plan-schema", PlanSchemaView.as_view()),
    path("schema", SchemaView.as_view(), name="api-schema"),
    path("", include("hub.runs.api.urls")),
    path("", include("hub.catalogue.api.urls")),
    path("", include("hub.accounts.api.urls")),
    path("", include("hub.organisations.api.urls")),
    path("", include("hub.federations.api.urls")),
    path("", include("hub.audit.api.urls")),
    path("", include("hub.contributions.api.urls")),
    path("", include("hub.notices.api.urls")),
]

urlpatterns = [
    path("api/v1/", include(api)),  # first, since most requests are an agent's
    path("", include("hub.common.urls")),
    path("", include("hub.accounts.urls")),
    path("", include("hub.organisations.urls")),
    path("", include("hub.federations.urls")),
    path("", include("hub.catalogue.urls")),
    path("", include("hub.runs.urls")),
    path("", include("hub.audit.urls")),
    path("", include("hub.contributions.urls")),
    path("", include("hub.notices.urls")),
    path("", include("hub.home.urls")),
    path("", include("hub.operations.urls")),
    path("accounts/", include("allauth.urls")),
    path("api/docs", reference, name="api-docs"),
    path("hf/", include("hub.catalogue.hf.urls")),
    path("console/", admin.site.urls),
]

handler400 = "hub.common.api.handlers.bad_request"
handler403 = "hub.common.api.handlers.permission_denied"
handler404 = "hub.common.api.handlers.page_not_found"
handler500 = "hub.common.api.handlers.server_error"
