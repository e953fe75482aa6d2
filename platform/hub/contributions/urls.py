from __future__ import annotations

from django.urls import path

from hub.contributions import pages

app_name = "contributions"

urlpatterns = [
    path("federations/<slug:slug>/contributions", pages.facts, name="facts"),
    path("federations/<slug:slug>/contributions.csv", pages.download, name="csv"),
]
