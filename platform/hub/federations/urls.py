from __future__ import annotations

from django.urls import URLPattern

app_name = "federations"

urlpatterns: list[URLPattern] = []
