"""What passwords may be, besides Django's own rules."""

from __future__ import annotations

from django.contrib.auth.password_validation import (
    CommonPasswordValidator,
    MinimumLengthValidator,
    NumericPasswordValidator,
    UserAttributeSimilarityValidator,
)
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from hub.accounts.models import User

LONGEST_PASSWORD = 256


class Rules:
    """Django's rules and ours, told in one calm line before anybody types."""

    def __init__(self) -> None:
        self.rules = (
            MinimumLengthValidator(),
            MaximumLengthValidator(),
            NumericPasswordValidator(),
            CommonPasswordValidator(),
            UserAttributeSimilarityValidator(),
        )

    def validate(self, password: str, user: User | None = None) -> None:
        refused: list[ValidationError] = []
        for rule in self.rules:
            try:
                rule.validate(password, user)
            except ValidationError as error:
                refused.append(error)
        if refused:
            raise ValidationError(refused)

    def get_help_text(self) -> str:
        least = self.rules[0].min_length
        return _(
            "At least %(least)s characters: no usual password, no mere number, not your name."
        ) % {"least": least}


class MaximumLengthValidator:
    """Refuses what nobody types, before anything slow reads it."""

    def validate(self, password: str, user: object = None) -> None:  # noqa: ARG002 (Django's call)
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        return _("Your password can have at most %(most)s characters.") % {"most": LONGEST_PASSWORD}
