"""`manage.py up`: the whole hub on this machine, until Ctrl-C."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from hub.accounts.models import User
from hub.embedded.ports import LOOPBACK
from hub.embedded.supervisor import Supervisor
from hub.operations.processes import only_hub, start_hub

FIRST_OPERATOR = "operator@example.org"
OPEN = (
    "Outside this machine the hub is reached by TLS only: put a proxy in front, set PUBLIC_URL to "
    "its https address, and ALLOWED_HOSTS to its name."
)


class Command(BaseCommand):
    help = "Start the hub with its workers on this machine; Ctrl-C stops everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="preferred port (default 8000)")
        parser.add_argument(
            "--host",
            default=LOOPBACK,
            help="address to listen on; for others than this machine set PUBLIC_URL (https) too",
        )
        parser.add_argument(
            "--operator",
            default=FIRST_OPERATOR,
            metavar="ADDRESS",
            help="e-mail address of the first operator's account",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        public = os.environ.get("PUBLIC_URL", "")
        if options["host"] != LOOPBACK and not public.startswith("https://"):
            raise CommandError(OPEN)
        with only_hub(), Supervisor() as supervisor:
            self._bring_up(supervisor, options, public)

    def _bring_up(self, supervisor: Supervisor, options: dict[str, Any], public: str) -> None:
        self.stdout.write("Preparing the database …")
        call_command("migrate", verbosity=0)
        if not User.objects.filter(is_staff=True).exists():
            call_command("make_operator", options["operator"], stdout=self.stdout)
        url = start_hub(
            supervisor,
            port=options["port"],
            host=options["host"],
            environment={"PUBLIC_URL": public} if public else None,
        )
        url = public or url
        self.stdout.write(f"The hub is up:   {url}")
        self.stdout.write(f"Its console:     {url}/console/")
        self.stdout.write(f"Its logs:        {Path(settings.HOME) / 'logs'}")
        self.stdout.write("Ctrl-C stops it.")
        supervisor.run_until_stopped()
