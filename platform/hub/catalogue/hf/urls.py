from __future__ import annotations

from django.urls import path

from hub.catalogue.hf import views

app_name = "hf"

API = "api/models/<str:owner>/<str:name>"
urlpatterns = [
    path(API, views.model, name="model"),
    path(f"{API}/revision/<str:revision>", views.model, name="revision"),
    path(f"{API}/tree/<str:revision>", views.tree, name="tree"),
    path(f"{API}/tree/<str:revision>/<path:folder>", views.tree, name="folder"),
    path("<str:owner>/<str:name>/resolve/<str:revision>/<path:path>", views.resolve, name="file"),
    path("api/models/<str:name>", views.no_such_repository),
    path("<str:name>/resolve/<str:revision>/<path:path>", views.no_such_repository),
]
