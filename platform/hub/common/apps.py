from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class CommonConfig(AppConfig):
    name = "hub.common"
    default = True

    def ready(self) -> None:
        from hub.common import checks, logs  # noqa: F401, PLC0415  (registers system checks)

        logs.configure()


class ConsoleConfig(admin.SimpleAdminConfig):
    """The operator console: Django's admin behind the same sign-in as the pages."""

    default = False
    default_site = "hub.operations.console.OperatorsConsole"

    def ready(self) -> None:
        super().ready()
        self.module.autodiscover()  # type: ignore[union-attr]
