"""Lay a version down as a folder, as `from_pretrained` and `foedus-verify` read it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.catalogue.cards.archives import write_folder
from hub.catalogue.models import ModelVersion
from hub.catalogue.versions.aliases import version_at
from hub.federations.models import Federation


class Command(BaseCommand):
    help = "Write the files of a version into a new folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("federation", help="its short name")
        parser.add_argument("revision", help="v3, released, latest, or the digits of a commit")
        parser.add_argument("folder", type=Path, help="where; nothing may be there yet")

    def handle(self, **options: Any) -> None:
        version = self._version(options["federation"], options["revision"])
        try:
            paths = write_folder(version, options["folder"])
        except OSError as refused:
            raise CommandError(f"{options['folder']}: {refused.strerror}") from refused
        self.stdout.write("\n".join([*paths, f"{version} is in {options['folder']}"]))

    def _version(self, slug: str, revision: str) -> ModelVersion:
        federation = Federation.objects.filter(slug=slug).first()
        if federation is None:
            raise CommandError(f"there is no federation {slug}")
        version = version_at(federation, revision)
        if version is None:
            raise CommandError(f"{slug} has no version {revision}")
        return version
