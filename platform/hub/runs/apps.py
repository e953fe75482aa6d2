from __future__ import annotations

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "hub.runs"

    def ready(self) -> None:
        from hub.runs import decisions  # noqa: F401, PLC0415  (registers kinds)
