from __future__ import annotations

from django.apps import AppConfig


class FederationsConfig(AppConfig):
    name = "hub.federations"
    default = True

    def ready(self) -> None:
        from hub.federations import decisions  # noqa: F401, PLC0415  (registers kinds)
        from hub.federations.proposals import decisions as others  # noqa: F401, PLC0415
