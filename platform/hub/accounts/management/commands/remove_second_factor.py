"""`manage.py remove_second_factor ADDRESS --reason …`: for somebody who has lost every factor."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.accounts.models import User
from hub.accounts.services import remove_second_factor
from hub.common.actors import HUB
from hub.common.errors import DomainError


class Command(BaseCommand):
    help = "Remove the second factors of somebody who has lost them, and sign them out everywhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address they sign in with")
        parser.add_argument("--reason", required=True, help="kept in the record for ever")

    def handle(self, *_: Any, email: str, reason: str, **options: Any) -> None:  # noqa: ARG002
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None:
            raise CommandError(f"Nobody signs in with {email}.")
        try:
            removed = remove_second_factor(user=user, actor=HUB, reason=reason)
        except DomainError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(f"{user.email}: {removed} removed.")
