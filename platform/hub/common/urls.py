from __future__ import annotations

from django.urls import path

from hub.common import pages

app_name = "common"

urlpatterns = [
    path("docs/problems", pages.problems, name="problems"),
    path("styleguide", pages.styleguide, name="styleguide"),
]
