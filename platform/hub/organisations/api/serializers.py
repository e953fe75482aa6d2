"""Shapes of organisations, members and agents on the wire."""

from __future__ import annotations

from rest_framework import serializers

from hub.common.api.serializers import In, TextField
from hub.organisations.models import (
    Agent,
    CustomRole,
    EnrolmentCode,
    Invitation,
    Membership,
    Organisation,
)
from hub.organisations.permissions import GIVEN_ROLES, Permission


class OrganisationIn(In):
    name = TextField(max_length=120)
    description = TextField(max_length=500, default="", allow_blank=True)
    contact_email = serializers.EmailField(
        max_length=254, default="", allow_blank=True, help_text="Empty: yours."
    )
    website = serializers.URLField(max_length=200, default="", allow_blank=True)
    country = TextField(max_length=60, default="", allow_blank=True)


class ProfileIn(In):
    description = TextField(max_length=500, allow_blank=True)
    website = serializers.URLField(max_length=200, allow_blank=True)
    country = TextField(max_length=60, allow_blank=True)
    contact_email = serializers.EmailField(max_length=254)


class OrganisationOut(serializers.ModelSerializer[Organisation]):
    class Meta:
        model = Organisation
        fields = (
            "id",
            "slug",
            "name",
            "description",
            "website",
            "country",
            "contact_email",
            "state",
            "created_at",
        )


class RoleChoiceIn(In):
    role = serializers.ChoiceField(
        choices=GIVEN_ROLES, default="", help_text="One that every organisation has; or else:"
    )
    custom_role_id = serializers.UUIDField(
        default=None, allow_null=True, help_text="One of the organisation's own."
    )


class PersonIn(RoleChoiceIn):
    email = serializers.EmailField(max_length=254)


class GuestIn(In):
    email = serializers.EmailField(max_length=254)


class AnswerIn(In):
    organisation_id = serializers.UUIDField(
        default=None,
        allow_null=True,
        help_text="Which of yours comes, where an organisation is invited.",
    )


class MemberOut(serializers.ModelSerializer[Membership]):
    id = serializers.UUIDField(source="user_id", help_text="The person's.")
    name = serializers.CharField(source="user.name")
    email = serializers.EmailField(source="user.email")
    role_name = serializers.CharField(help_text="As people say it.")

    class Meta:
        model = Membership
        fields = ("id", "name", "email", "role", "custom_role", "role_name", "created_at")


class InvitationOut(serializers.ModelSerializer[Invitation]):
    """Never says whether the address has an account."""

    organisation_name = serializers.CharField(
        source="organisation.name", allow_null=True, default=None
    )
    federation_name = serializers.CharField(source="federation.name", allow_null=True, default=None)

    class Meta:
        model = Invitation
        fields = (
            "id",
            "kind",
            "state",
            "email",
            "organisation",
            "organisation_name",
            "federation",
            "federation_name",
            "standing",
            "role",
            "custom_role",
            "expires_at",
            "created_at",
        )


class OwnRoleIn(In):
    name = TextField(max_length=60)
    permissions = serializers.ListField(
        child=serializers.ChoiceField(choices=Permission.choices), max_length=len(Permission)
    )


class OwnRoleOut(serializers.ModelSerializer[CustomRole]):
    permissions = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = CustomRole
        fields = ("id", "name", "permissions", "created_at")


class CodeOut(serializers.ModelSerializer[EnrolmentCode]):
    code = serializers.CharField(help_text="The code itself; shown this once.")

    class Meta:
        model = EnrolmentCode
        fields = ("id", "expires_at", "code")


class NameIn(In):
    name = TextField(max_length=80)


class AgentOut(serializers.ModelSerializer[Agent]):
    organisation_name = serializers.CharField(source="organisation.name")

    class Meta:
        model = Agent
        fields = (
            "id",
            "organisation",
            "organisation_name",
            "name",
            "state",
            "key_id",
            "version",
            "device",
            "federations",
            "last_seen_at",
            "created_at",
        )
