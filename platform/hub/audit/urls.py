from __future__ import annotations

from django.urls import path

from hub.audit import pages
from hub.audit.exporting import Format

app_name = "audit"

urlpatterns = [
    path("audit/", pages.events, name="events"),
    path("audit/texts", pages.texts, name="texts"),
    path("audit/export.csv", pages.export, {"form": Format.CSV}, name="csv"),
    path("audit/export.jsonl", pages.export, {"form": Format.JSONL}, name="jsonl"),
    path("audit/<int:pk>", pages.event, name="event"),
]
