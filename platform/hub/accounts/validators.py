"""What passwords may be, besides Django's own rules."""

from __future__ import annotations

from django.core.exceptions import ValidationError

LONGEST_PASSWORD = 256


class MaximumLengthValidator:
    """Refuses what nobody types, before anything slow reads it."""

    def validate(self, password: str, user: object = None) -> None:  # noqa: ARG002 (Django's call)
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        return f"Your password can have at most {LONGEST_PASSWORD} characters."
