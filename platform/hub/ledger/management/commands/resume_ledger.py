"""`manage.py resume_ledger`: go on after a backup was restored. Run it where the signer runs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from hub.common.actors import HUB
from hub.common.errors import NotFound
from hub.ledger.signing import resume


class Command(BaseCommand):
    help = (
        "Let a stopped ledger take entries again, from what the database holds now. The reason is "
        "on record for everybody in the federation, its digest in the ledger itself. Agents that "
        "have seen more refuse to work until their owners accept what is there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("federation", type=UUID)
        parser.add_argument("--reason", required=True, help="what happened, in a sentence")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            resume(ledger=options["federation"], reason=options["reason"], actor=HUB)
        except NotFound as absent:
            raise CommandError(absent.detail) from absent
        self.stdout.write("The ledger takes entries.")
