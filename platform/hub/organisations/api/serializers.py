"""Shapes of organisations, members and agents on the wire."""

from __future__ import annotations

from rest_framework import serializers

from hub.common.api.serializers import In, TextField
from hub.organisations.models import Agent, EnrolmentCode, Membership, Organisation
from hub.organisations.permissions import GIVEN_ROLES


class OrganisationIn(In):
    name = TextField(max_length=120)
    description = TextField(max_length=500, default="", allow_blank=True)
    contact_email = serializers.EmailField(
        max_length=254, default="", allow_blank=True, help_text="Empty: yours."
    )


class OrganisationOut(serializers.ModelSerializer[Organisation]):
    class Meta:
        model = Organisation
        fields = ("id", "slug", "name", "description", "contact_email", "state", "created_at")


class MemberIn(In):
    email = serializers.EmailField(max_length=254, help_text="Of somebody who has an account.")
    role = serializers.ChoiceField(choices=GIVEN_ROLES)


class MemberOut(serializers.ModelSerializer[Membership]):
    id = serializers.UUIDField(source="user_id", help_text="The person's.")
    name = serializers.CharField(source="user.name")
    email = serializers.EmailField(source="user.email")

    class Meta:
        model = Membership
        fields = ("id", "name", "email", "role", "created_at")


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
