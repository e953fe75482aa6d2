from __future__ import annotations

from django.urls import path

from hub.ledger import pages

app_name = "ledger"

urlpatterns = [
    path("federations/<slug:slug>/contributions", pages.contributions, name="contributions"),
    path("federations/<slug:slug>/contributions.csv", pages.download, name="csv"),
]
