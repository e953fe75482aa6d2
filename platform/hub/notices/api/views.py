"""A person's notices, and how they want to be told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In
from hub.common.api.views import ApiView, ApiViewSet
from hub.common.feed import told
from hub.notices import selectors, services
from hub.notices.kinds import CHOICES
from hub.notices.models import Channel, Notice, NoticeSettings


class NoticeOut(serializers.ModelSerializer[Notice]):
    text = serializers.SerializerMethodField(help_text="What happened, as a sentence.")
    events = serializers.IntegerField(source="count", help_text="That it stands for.")
    about = serializers.UUIDField(source="object_id")
    url = serializers.CharField(help_text="A path on this hub.")

    class Meta:
        model = Notice
        fields = (
            "id",
            "kind",
            "text",
            "events",
            "at",
            "about",
            "organisation",
            "federation",
            "url",
            "needs",
            "read_at",
            "settled_at",
        )

    def get_text(self, notice: Notice) -> str:
        return told([notice.event])[0].sentence


class NoticeFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    kind = filters.ChoiceFilter(choices=CHOICES)
    unread = filters.BooleanFilter("read_at", lookup_expr="isnull")
    waiting = filters.BooleanFilter(
        method="filter_waiting", help_text="Needs that nobody has seen to yet."
    )

    class Meta:
        model = Notice
        fields = ("kind", "federation")

    def filter_waiting(
        self,
        queryset: QuerySet[Notice],
        _name: str,
        value: bool,  # noqa: FBT001 (the library calls it so)
    ) -> QuerySet[Notice]:
        if value:
            return queryset.filter(selectors.WAITING)
        return queryset.exclude(selectors.WAITING)


class ReadOut(serializers.Serializer[Any]):
    read = serializers.IntegerField(help_text="How many were unread.")


class NoticeViewSet(ApiViewSet[Notice]):
    """What you were told: what needs you, and news."""

    permission_classes = (IsPerson,)
    serializer_class = NoticeOut
    filterset_class = NoticeFilter
    ordering = ("-at", "-id")

    def get_queryset(self) -> QuerySet[Notice]:
        return selectors.inbox_of(self.person)

    @extend_schema(request=None, responses=NoticeOut)
    @action(detail=True, methods=["post"])
    def read(self, request: Request, pk: UUID) -> Response:
        """Mark it as read; twice is once."""
        services.mark_read(user=self.person, notice_id=pk)
        return Response(NoticeOut(self.get_object()).data)

    @extend_schema(operation_id="notices_read_all", request=None, responses=ReadOut)
    @action(detail=False, methods=["post"], url_path="read")
    def read_all(self, request: Request) -> Response:
        """Mark everything as read."""
        return Response({"read": services.mark_all_read(user=self.person)})


class NoticeSettingsOut(serializers.Serializer[Any]):
    channels = serializers.DictField(
        child=serializers.ChoiceField(Channel.choices), help_text="By kind, every kind."
    )
    digest_hour = serializers.IntegerField(help_text="Of the daily mail, UTC.")


class NoticeSettingsIn(In):
    channels = serializers.DictField(
        child=serializers.CharField(max_length=8),
        default=dict,
        help_text="By kind; what is not named stays: inbox, now or digest.",
    )
    digest_hour = serializers.IntegerField(min_value=0, max_value=23, required=False)


class NoticeSettingsView(ApiView):
    permission_classes = (IsPerson,)

    @extend_schema(operation_id="notice_settings", responses=NoticeSettingsOut)
    def get(self, request: Request) -> Response:
        """How you are told, by kind."""
        return Response(_said(selectors.settings_of(self.person)))

    @extend_schema(
        operation_id="notice_settings_change",
        request=NoticeSettingsIn,
        responses=NoticeSettingsOut,
    )
    def patch(self, request: Request) -> Response:
        """Be told in another way from now on."""
        body = self.validated(NoticeSettingsIn)
        return Response(_said(services.save_settings(user=self.person, **body)))


def _said(held: NoticeSettings) -> dict[str, Any]:
    channels = {one.kind.name: one.channel.value for one in selectors.channels_of(held)}
    return {"channels": channels, "digest_hour": held.digest_hour}
