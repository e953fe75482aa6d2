"""`manage.py migrate`: Django's, as the owner of the tables; the processes may use them."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from hub.operations.roles import as_owner, give_rights


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner() as processes:
            super().handle(*args, **options)
            give_rights(role=processes["USER"], password=processes["PASSWORD"])
