"""Charters, signatures and policies, for people and their scripts."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from pydantic import BaseModel
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin

from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import DigestField, In, ParagraphsField, TextField
from hub.common.api.views import ReadingViewSet
from hub.common.errors import Invalid
from hub.federations import selectors
from hub.federations.charters.agreeing import policy_of
from hub.federations.models import CharterVersion, Signature
from hub.federations.policies import LARGEST_UPDATES, Policy


def _inlined(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema in one piece, as a document of OpenAPI takes it."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(node: Any) -> Any:
        if isinstance(node, list):
            return [whole(one) for one in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return whole(parts[node["$ref"].rpartition("/")[2]])
        return {name: whole(value) for name, value in node.items() if name != "title"}

    found: dict[str, Any] = whole(schema)
    return found


@extend_schema_field(_inlined(Policy))
class PolicyField(serializers.JSONField):
    """A policy as JSON; checked by its own schema."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("A policy is an object.")
        try:
            return policy_of(data)
        except Invalid as refused:
            raise serializers.ValidationError(refused.detail) from refused

    def to_representation(self, value: Any) -> Any:
        said: Policy = value
        return said.model_dump(mode="json")


class LargestUpdateField(serializers.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        least, most = LARGEST_UPDATES
        words = "Bytes that one update has at most."
        super().__init__(min_value=least, max_value=most, help_text=words, **kwargs)


class SignIn(In):
    charter_digest = DigestField(help_text="Of the text that you have read and sign.")
    licence_digest = serializers.CharField(
        max_length=64,
        default="",
        allow_blank=True,
        help_text="Of the base model's licence, where it must be accepted and was not yet.",
    )


class CharterIn(In):
    text = ParagraphsField(max_length=50_000, help_text="What every organisation is to sign.")
    reason = TextField(max_length=450, help_text="Why; every member reads it.")


class PolicyIn(In):
    policy = PolicyField()
    is_listed = serializers.BooleanField(required=False)
    largest_update_bytes = LargestUpdateField(required=False)
    reason = TextField(max_length=450, help_text="Why; every member reads it.")

    def validate_policy(self, value: Policy) -> dict[str, Any]:
        """As terms of a proposal have it."""
        return value.model_dump(mode="json")


class CharterOut(serializers.ModelSerializer[CharterVersion]):
    """One text of a federation's charter; the newest is in force."""

    class Meta:
        model = CharterVersion
        fields = ("id", "number", "digest", "text", "proposal", "created_at")


class SignatureOut(serializers.ModelSerializer[Signature]):
    organisation = serializers.UUIDField(source="participation.organisation_id")
    number = serializers.IntegerField(source="version.number", help_text="Of the text.")
    charter_digest = serializers.CharField(source="version.digest")

    class Meta:
        model = Signature
        fields = (
            "id",
            "participation",
            "organisation",
            "number",
            "charter_digest",
            "licence_digest",
            "signed_at",
        )


class CharterViewSet(ListModelMixin, ReadingViewSet[CharterVersion]):
    """The texts of a federation's charter, the newest first."""

    permission_classes = (IsPerson,)
    serializer_class = CharterOut
    queryset = CharterVersion.objects.none()
    ordering = ("-number",)

    def get_queryset(self) -> QuerySet[CharterVersion]:
        visible = selectors.federations_visible_to(self.person)
        federation = get_object_or_404(visible, pk=self.kwargs["federation_id"])
        return federation.charter_versions.all()


class SignatureViewSet(ListModelMixin, ReadingViewSet[Signature]):
    """Who signed which text of the charter, the newest first; for members."""

    permission_classes = (IsPerson,)
    serializer_class = SignatureOut
    queryset = Signature.objects.none()
    ordering = ("-signed_at", "-id")

    def get_queryset(self) -> QuerySet[Signature]:
        own = selectors.federations_of(self.person)
        federation = get_object_or_404(own, pk=self.kwargs["federation_id"])
        signatures = Signature.objects.filter(version__federation=federation)
        return signatures.select_related("participation", "version")
