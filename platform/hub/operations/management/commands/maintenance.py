"""`manage.py maintenance on|off`: what the console's page *Hub* does, for scripts that upgrade."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from hub.common.actors import HUB
from hub.operations.switching import begin_maintenance, end_maintenance


class Command(BaseCommand):
    help = "Have nobody write but operators, or everybody again. Twice is once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=("on", "off"))
        parser.add_argument("--reason", required=True, help="kept on record")
        parser.add_argument("--note", default="", help="what people and agents are told")
        parser.add_argument("--minutes", type=int, help="how long it will take, as far as you know")

    def handle(self, *args: Any, what: str, reason: str, **options: Any) -> None:  # noqa: ARG002
        if what == "on":
            note, minutes = options["note"], options["minutes"]
            begin_maintenance(actor=HUB, reason=reason, note=note, minutes=minutes)
            self.stdout.write("Only operators write now; new jobs are held.")
        else:
            end_maintenance(actor=HUB, reason=reason)
            self.stdout.write("Everybody may write again.")
