from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hub.common.actors import HUB
from hub.common.errors import DomainError
from hub.organisations.models import Organisation
from hub.organisations.services import approve_organisation


class Command(BaseCommand):
    help = "Let a registered organisation take part."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")

    def handle(self, *args: Any, slug: str, **options: Any) -> None:  # noqa: ARG002
        organisation = Organisation.objects.filter(slug=slug).first()
        if organisation is None:
            known = Organisation.objects.order_by("slug").values_list("slug", flat=True)[:20]
            raise CommandError(f"There is no {slug}; there are: {', '.join(known) or 'none'}.")
        try:
            approve_organisation(organisation_id=organisation.pk, actor=HUB)
        except DomainError as refused:
            raise CommandError(refused.detail) from refused
        self.stdout.write(f"{organisation.name} is approved.")
