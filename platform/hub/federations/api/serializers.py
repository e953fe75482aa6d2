"""Shapes of federations and participations on the wire."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from hub.common.api.serializers import DigestField, In, ParagraphsField, TextField
from hub.federations.api.agreements import LargestUpdateField, PolicyField
from hub.federations.charters.founding import USUAL_UPDATE_BYTES
from hub.federations.models import DataDeclaration, Federation, Participation, Standing
from hub.federations.policies import FORMER
from hub.federations.services import LARGEST_RANK, LONGEST_CARD_TEXT, MOST_EXAMPLES

AS = [(one.value, one.label) for one in (Standing.CONTRIBUTOR, Standing.OBSERVER)]


def _former() -> Any:
    """A policy, ready for the service."""
    return FORMER


class FederationIn(In):
    organisation = serializers.UUIDField(help_text="Yours, that will lead.")
    name = TextField(max_length=120)
    purpose = ParagraphsField(max_length=1000, default="", allow_blank=True)
    charter = ParagraphsField(max_length=50_000, help_text="What every organisation signs.")
    base_model = serializers.UUIDField(help_text="See /api/v1/base-models.")
    is_listed = serializers.BooleanField(
        default=True, help_text="Whether other organisations can find it and ask to join."
    )
    policy = PolicyField(
        default=_former,
        help_text="What the members agree on. Left out: the lead lets organisations in and "
        "releases versions by itself, and runs may be as they like.",
    )
    largest_update_bytes = LargestUpdateField(default=USUAL_UPDATE_BYTES)
    licence_digest = serializers.CharField(
        max_length=64,
        default="",
        allow_blank=True,
        help_text="Of the base model's licence that you have read, where it must be accepted.",
    )


class FederationOut(serializers.ModelSerializer[Federation]):
    charter_digest = serializers.CharField(help_text="What is signed when asking to join.")
    policy = PolicyField(source="typed_policy")

    class Meta:
        model = Federation
        fields = (
            "id",
            "slug",
            "name",
            "purpose",
            "state",
            "base_model",
            "is_listed",
            "intended_use",
            "limits",
            "charter",
            "charter_number",
            "charter_digest",
            "policy",
            "largest_update_bytes",
            "created_at",
        )


class JoinIn(In):
    organisation = serializers.UUIDField(help_text="Yours, that asks to join.")
    charter_digest = DigestField(help_text="The text that you have read and sign.")
    rank = serializers.IntegerField(
        min_value=1, max_value=LARGEST_RANK, default=None, allow_null=True
    )
    standing = serializers.ChoiceField(
        choices=AS,
        default=Standing.CONTRIBUTOR,
        help_text="An observer sees what members see, gets no tasks and has no voice.",
    )
    licence_digest = serializers.CharField(
        max_length=64,
        default="",
        allow_blank=True,
        help_text="Of the base model's licence that you have read, where it must be accepted.",
    )


class RankIn(In):
    rank = serializers.IntegerField(
        min_value=1,
        max_value=LARGEST_RANK,
        allow_null=True,
        help_text="Largest adapter rank it trains; null: the plan's.",
    )


class StatementIn(In):
    statement = ParagraphsField(
        max_length=LONGEST_CARD_TEXT,
        allow_blank=True,
        help_text="What your organisation says of its data in the model cards.",
    )


class DeclarationIn(In):
    train_examples = serializers.IntegerField(
        min_value=0, max_value=MOST_EXAMPLES, help_text="To train on, at most."
    )
    test_examples = serializers.IntegerField(
        min_value=0, max_value=MOST_EXAMPLES, help_text="To test on, at most."
    )


class DeclarationOut(serializers.ModelSerializer[DataDeclaration]):
    signed_at = serializers.DateTimeField(source="created_at")

    class Meta:
        model = DataDeclaration
        fields = ("id", "participation", "number", "train_examples", "test_examples", "signed_at")


class DescriptionIn(In):
    intended_use = ParagraphsField(
        max_length=LONGEST_CARD_TEXT, allow_blank=True, help_text="What the models are for."
    )
    limits = ParagraphsField(
        max_length=LONGEST_CARD_TEXT, allow_blank=True, help_text="For what they are not."
    )


class RefusalIn(In):
    reason = TextField(max_length=500)


class LeaveIn(In):
    reason = TextField(max_length=500, default="", allow_blank=True)
    after_round = serializers.BooleanField(
        default=False, help_text="Finish the present round first; get no work of another."
    )


class ParticipationOut(serializers.ModelSerializer[Participation]):
    organisation_name = serializers.CharField(source="organisation.name")
    organisation_slug = serializers.CharField(source="organisation.slug")

    class Meta:
        model = Participation
        fields = (
            "id",
            "federation",
            "organisation",
            "organisation_name",
            "organisation_slug",
            "standing",
            "state",
            "rank",
            "data_statement",
            "charter_number",
            "charter_digest",
            "signed_at",
            "leaving_since",
            "created_at",
        )
