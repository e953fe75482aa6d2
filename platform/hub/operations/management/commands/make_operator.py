"""`manage.py make_operator ADDRESS`: make somebody an operator."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from hub.operations.services import make_operator


class Command(BaseCommand):
    help = "Make the person with this e-mail address an operator, with an account if need be."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="Operator", help="for a new account")

    def handle(self, *_: Any, **options: Any) -> None:
        password = secrets.token_urlsafe(12)
        user = make_operator(email=options["email"], name=options["name"], password=password)
        self.stdout.write(f"{user.email} is an operator.")
        if user.check_password(password):
            self.stdout.write(f"Password of the new account, shown only now: {password}")
