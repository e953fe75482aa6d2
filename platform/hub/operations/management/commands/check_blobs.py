"""`manage.py check_blobs`: whether every artifact that the database names is in the store."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.catalogue.models import Artifact
from hub.catalogue.storage import store


class Command(BaseCommand):
    help = "Look for artifacts whose bytes are gone, as after restoring an incomplete backup."

    def handle(self, *_: Any, **__: Any) -> None:
        blobs = store()
        known = Artifact.objects.order_by("sha256").values_list("sha256", flat=True)
        missing = [digest for digest in known.iterator() if not blobs.exists(digest)]
        for digest in missing:
            self.stderr.write(f"{digest} is missing")
        if missing:
            raise CommandError(f"{len(missing)} of {known.count()} artifacts are missing.")
        self.stdout.write(f"All {known.count()} artifacts are there.")
