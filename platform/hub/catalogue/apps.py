from __future__ import annotations

from django.apps import AppConfig


class CatalogueConfig(AppConfig):
    name = "hub.catalogue"

    def ready(self) -> None:
        from hub.catalogue import decisions  # noqa: F401, PLC0415  (registers kinds)
        from hub.catalogue.bases.licences import record_acceptance  # noqa: PLC0415
        from hub.federations.charters.licences import record_with  # noqa: PLC0415

        record_with(record_acceptance)
