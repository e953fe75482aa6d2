from __future__ import annotations

from django.urls import path

from hub.catalogue.hf import listings, views

app_name = "hf"

MODEL = "api/models/<str:owner>/<str:name>"
urlpatterns = [
    path("api/whoami-v2", listings.whoami, name="whoami"),
    path("api/models", listings.models, name="models"),
    path(MODEL, views.model, name="model"),
    path(f"{MODEL}/auth-check", listings.auth_check, name="auth_check"),
    path(f"{MODEL}/refs", listings.refs, name="refs"),
    path(f"{MODEL}/revision/<path:revision>", views.model, name="revision"),
    path(f"{MODEL}/commits/<path:revision>", listings.commits, name="commits"),
    path(f"{MODEL}/paths-info/<path:revision>", views.paths_info, name="paths_info"),
    path(f"{MODEL}/tree/<str:revision>", views.tree, name="tree"),
    path(f"{MODEL}/tree/<str:revision>/<path:folder>", views.tree, name="folder"),
    path("<str:owner>/<str:name>/resolve/<str:revision>/<path:path>", views.resolve, name="file"),
    path("api/models/<str:name>", views.no_such_repository),
    path("<str:name>/resolve/<str:revision>/<path:path>", views.no_such_repository),
    path("api/<str:kind>/<path:name>", views.no_such_repository),
]
