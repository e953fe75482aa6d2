"""`manage.py check_blobs`: whether every artifact that the database names is in the store."""

from __future__ import annotations

import hashlib
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.catalogue.blobs.storage import BLOCK_BYTES, store
from hub.catalogue.errors import ArtifactUnavailable
from hub.catalogue.models import Artifact

Named = tuple[str, int]  # digest and size


class Command(BaseCommand):
    help = "Look for artifacts whose bytes are gone, as after restoring an incomplete backup."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--read", action="store_true", help="read all bytes, and hash them")

    def handle(self, *_: Any, read: bool = False, **__: Any) -> None:
        known: list[Named] = list(Artifact.objects.order_by("pk").values_list("pk", "size_bytes"))
        wrong = self._told(known)
        if read:
            wrong += self._told_of_contents(known)
        if wrong:
            raise CommandError(f"{wrong} of {len(known)} artifacts are missing or damaged.")
        self.stdout.write(f"All {len(known)} artifacts are there.")

    def _told(self, known: Iterable[Named]) -> int:
        """The store is listed once: that is one request for a thousand objects of a bucket."""
        there = dict(store().stored())
        missing = [sha256 for sha256, _ in known if sha256 not in there]
        cut = [sha256 for sha256, size in known if there.get(sha256, size) != size]
        for sha256 in missing:
            self.stderr.write(f"{sha256} is missing")
        for sha256 in cut:
            self.stderr.write(f"{sha256} has another size")
        return len(missing) + len(cut)

    def _told_of_contents(self, known: Iterable[Named]) -> int:
        damaged = [sha256 for sha256, _ in known if _is_damaged(sha256)]
        for sha256 in damaged:
            self.stderr.write(f"{sha256} has other bytes")
        return len(damaged)


def _is_damaged(sha256: str) -> bool:
    """What is not there at all has been told already."""
    digest = hashlib.sha256()
    try:
        source = store().open(sha256)
    except ArtifactUnavailable:
        return False
    try:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
    finally:
        source.close()
    return digest.hexdigest() != sha256
