from __future__ import annotations

from django.urls import path

from hub.home import pages

app_name = "home"

urlpatterns = [path("", pages.home, name="home")]
