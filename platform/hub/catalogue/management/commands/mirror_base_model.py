"""`manage.py mirror_base_model OWNER/NAME …`: a base model of another hub."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from hub.accounts.models import User
from hub.catalogue.bases.mirrors import begin_mirror
from hub.common.errors import DomainError


class Command(BaseCommand):
    help = "Has a worker fetch a base model from another hub, at a commit that cannot move."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("repo", help="owner/name on the other hub")
        parser.add_argument("--revision", required=True, help="40 digits of a commit")
        parser.add_argument("--operator", required=True, help="e-mail address of who asks")
        parser.add_argument("--slug", required=True, help="its name in base/<slug>")
        parser.add_argument("--name", required=True, help="what people read")
        parser.add_argument("--licence", required=True, help="SPDX identifier, such as Apache-2.0")
        parser.add_argument("--description", default="")
        parser.add_argument("--must-accept", action="store_true")
        parser.add_argument("--endpoint", default=next(iter(settings.BASE_MODEL_SOURCES), ""))

    def handle(self, *_: Any, operator: str, **options: Any) -> None:
        user = User.objects.filter(email__iexact=operator, is_staff=True).first()
        if user is None:
            raise CommandError(f"{operator} is no operator of this hub.")
        names = ("repo", "revision", "endpoint", "slug", "name", "licence", "description")
        said = {name: options[name] for name in (*names, "must_accept")}
        try:
            draft = begin_mirror(user=user, **said)
        except DomainError as refused:
            raise CommandError(f"{refused.title} {refused.detail}") from refused
        self.stdout.write(f"{draft} is being fetched; its page: /base-models/drafts/{draft.pk}")
