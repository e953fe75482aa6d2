"""Shapes of people and tokens on the wire."""

from __future__ import annotations

from rest_framework import serializers

from hub.accounts.models import ApiToken, Scope, User
from hub.accounts.services import LONGEST_DAYS
from hub.common.api.serializers import In, TextField


class PersonOut(serializers.ModelSerializer[User]):
    is_operator = serializers.BooleanField(source="is_staff")

    class Meta:
        model = User
        fields = ("id", "email", "name", "is_operator", "date_joined")


class TokenIn(In):
    name = TextField(max_length=80, help_text="What uses it.")
    days = serializers.IntegerField(
        min_value=1, max_value=LONGEST_DAYS, default=90, help_text="How long it lives."
    )
    scope = serializers.ChoiceField(
        Scope.choices, default=Scope.READ, help_text="A `read` token is refused what writes."
    )


class TokenOut(serializers.ModelSerializer[ApiToken]):
    id = serializers.CharField(source="token_key", help_text="How the token begins.")
    created_at = serializers.DateTimeField(source="created")
    expires_at = serializers.DateTimeField(source="expiry", allow_null=True)

    class Meta:
        model = ApiToken
        fields = ("id", "name", "scope", "created_at", "expires_at", "last_used_at")


class NewTokenOut(TokenOut):
    token = serializers.CharField(help_text="The token itself; shown this once.")

    class Meta:
        model = ApiToken
        fields = ("id", "name", "scope", "created_at", "expires_at", "last_used_at", "token")
