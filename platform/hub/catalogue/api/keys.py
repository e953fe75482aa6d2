"""The public keys that versions are signed with, for scripts."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.mixins import ListModelMixin

from hub.catalogue.models import ModelKey
from hub.common.api.permissions import IsPerson
from hub.common.api.views import ReadingViewSet


class ModelKeyOut(serializers.ModelSerializer[ModelKey]):
    class Meta:
        model = ModelKey
        fields = ("key_id", "pem", "created_at")


class ModelKeyViewSet(ListModelMixin, ReadingViewSet[ModelKey]):
    """Keys that signed versions here; the same as at /.well-known/foedus/model-keys.json."""

    permission_classes = (IsPerson,)
    serializer_class = ModelKeyOut
    queryset = ModelKey.objects.all()
    ordering = ("-created_at", "key_id")
