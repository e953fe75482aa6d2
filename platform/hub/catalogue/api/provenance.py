"""Where a version comes from, as JSON: the shapes of `hub.catalogue.versions.provenance`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class AncestorOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()


class MakingOut(serializers.Serializer[Any]):
    run = serializers.UUIDField()
    run_number = serializers.IntegerField()
    run_name = serializers.CharField()
    round = serializers.UUIDField()
    round_number = serializers.IntegerField()


class CountedUpdateOut(serializers.Serializer[Any]):
    update = serializers.CharField()  # type: ignore[assignment]  # a field, not the method
    organisation = serializers.CharField()
    digest = serializers.CharField(help_text="SHA-256 of the update.")
    statement = serializers.CharField(help_text="SHA-256 of what its agent signed.")
    examples = serializers.IntegerField()
    weight = serializers.FloatField()
    staleness = serializers.IntegerField()


class AggregatorOut(serializers.Serializer[Any]):
    strategy = serializers.CharField()
    rule = serializers.CharField()
    combination = serializers.CharField()
    relative_error = serializers.FloatField(allow_null=True)
    discarded_energy = serializers.FloatField(allow_null=True)
    optimiser = serializers.CharField()
    optimiser_state = serializers.CharField(allow_null=True)


class MeasurementOut(serializers.Serializer[Any]):
    organisation = serializers.CharField()
    run = serializers.UUIDField()
    round = serializers.IntegerField()
    examples = serializers.IntegerField()
    correct = serializers.IntegerField(allow_null=True)
    tokens = serializers.IntegerField()
    loss_sum = serializers.FloatField()


class StoredFileOut(serializers.Serializer[Any]):
    path = serializers.CharField()
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()


class ProvenanceOut(serializers.Serializer[Any]):
    """Where a version comes from."""

    parent = AncestorOut(allow_null=True)
    making = MakingOut(allow_null=True)
    plan_digest = serializers.CharField()
    base_model = serializers.CharField()
    base_revision = serializers.CharField()
    updates = CountedUpdateOut(many=True)
    aggregator = AggregatorOut()
    evaluations = MeasurementOut(many=True)
    privacy = serializers.ListField(child=serializers.CharField())
    adapter = serializers.CharField()
    revision = serializers.CharField()
    files = StoredFileOut(many=True)
