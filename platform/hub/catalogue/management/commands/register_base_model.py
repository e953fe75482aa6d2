"""manage.py register_base_model FOLDER --slug … --name … --licence …, or --package minilm."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.catalogue.bases.registering import PACKAGES, register_base_model, register_packaged_model
from hub.catalogue.models import BaseModel
from hub.common.errors import DomainError

NEEDED = ("slug", "name", "licence")


class Command(BaseCommand):
    help = "Takes a folder of safetensors and text in as a base model; again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", nargs="?", type=Path)
        parser.add_argument("--package", choices=sorted(PACKAGES), help="from a Python package")
        parser.add_argument("--slug", help="its name in base/<slug>")
        parser.add_argument("--name", help="what people read")
        parser.add_argument("--licence", help="SPDX identifier, such as Apache-2.0")
        parser.add_argument("--description", default="")
        parser.add_argument("--source", default="", help="where it comes from")
        parser.add_argument(
            "--must-accept",
            action="store_true",
            help="each organisation accepts the licence before it gets a file",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            base = self._register(**options)
        except DomainError as refused:
            raise CommandError(f"{refused.title} {refused.detail}") from refused
        self.stdout.write(f"{base.repo} {base.revision} {base.parameters} parameters")

    def _register(self, *, folder: Path | None, package: str | None, **options: Any) -> BaseModel:
        if package is not None:
            return register_packaged_model(package=package)
        if folder is None or not folder.is_dir():
            raise CommandError("Name a folder, or a --package.")
        if missing := [name for name in NEEDED if not options[name]]:
            raise CommandError(f"Say --{missing[0]}.")
        facts = (*NEEDED, "description", "source", "must_accept")
        return register_base_model(folder=folder, **{name: options[name] for name in facts})
