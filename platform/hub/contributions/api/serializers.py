from __future__ import annotations

from rest_framework import serializers

from hub.contributions.models import ContributionFact


class FactOut(serializers.ModelSerializer[ContributionFact]):
    organisation = serializers.CharField(source="participation.organisation.name")
    run = serializers.UUIDField(source="round.run_id")
    round_number = serializers.IntegerField(source="round.number")

    class Meta:
        model = ContributionFact
        fields = (
            "id",
            "at",
            "run",
            "round",
            "round_number",
            "participation",
            "organisation",
            "outcome",
            "reason",
            "examples",
            "tokens",
            "steps",
            "device_seconds",
            "bytes_up",
            "bytes_down",
            "weight",
        )
