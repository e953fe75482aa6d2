"""Have a closed round computed again from its stored updates, and say whether it is the same."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from hub.common.errors import DomainError
from hub.runs.models import Recomputation, RecomputationState
from hub.runs.services import replay_round

LOOK_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "Have a worker compute a closed round again, and compare its digest with the version's. "
        "Ends with status 1 where it differs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("round", type=UUID, help="the round's id, as in its page's address")
        parser.add_argument(
            "--wait", type=float, default=600.0, help="seconds to wait for a worker (600)"
        )
        parser.add_argument(
            "--last", action="store_true", help="tell of the last replay instead of a new one"
        )

    def handle(self, **options: Any) -> None:
        if not options["last"]:
            self._ask(options["round"])
        self._tell(self._ended(options["round"], options["wait"]))

    def _ask(self, round_id: UUID) -> None:
        try:
            replay_round(round_id=round_id)
        except DomainError as refused:
            raise CommandError(f"{refused.title} {refused.detail}") from refused

    def _ended(self, round_id: UUID, wait: float) -> Recomputation:
        rows = Recomputation.objects.filter(round_id=round_id, is_own=True)
        until = time.monotonic() + wait
        while True:
            found = rows.select_related("round__version").first()
            if found is None:
                raise CommandError("this round was never computed again")
            if found.state != RecomputationState.QUEUED:
                return found
            if time.monotonic() >= until:
                raise CommandError(
                    f"no worker has done it within {wait:.0f} s; it stays queued: look at --last"
                )
            time.sleep(LOOK_SECONDS)

    def _tell(self, found: Recomputation) -> None:
        if found.state == RecomputationState.FAILED:
            raise CommandError(f"it could not be computed: {found.failure_detail}")
        version = found.round.version
        published = version.adapter_id if version else ""
        if found.digest != published:
            raise CommandError(f"it differs: {found.digest}, published was {published}")
        self.stdout.write(f"Reproduced: {found.digest}")
