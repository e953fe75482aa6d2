from __future__ import annotations

from django.urls import path, re_path

from hub.audit import pages

app_name = "audit"

urlpatterns = [
    path("audit/", pages.events, name="events"),
    path("audit/texts", pages.texts, name="texts"),
    re_path(r"^audit/export\.(?P<form>csv|jsonl)$", pages.export, name="export"),
    path("audit/<int:pk>", pages.event, name="event"),
]
