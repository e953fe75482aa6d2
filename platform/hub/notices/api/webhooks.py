"""Webhooks of organisations, and what was delivered to them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In, TextField
from hub.common.api.views import ApiViewSet
from hub.notices.hooks import services
from hub.notices.hooks.messages import message_id
from hub.notices.hooks.selectors import deliveries_managed_by, webhooks_managed_by
from hub.notices.kinds import OFFERED
from hub.notices.models import Delivery, Webhook

KINDS = [(kind.name, kind.label) for kind in OFFERED]
TICKETS = OpenApiExample(
    "A ticket system",
    value={
        "organisation": "4d3e7a5e-4f0c-4d54-9a3c-6a3f3b6f1f52",
        "name": "Tickets",
        "url": "https://tickets.example.org/hooks/foedus",
        "kinds": ["run_failed", "quarantine"],
    },
    request_only=True,
)


class WebhookOut(serializers.ModelSerializer[Webhook]):
    class Meta:
        model = Webhook
        fields = (
            "id",
            "created_at",
            "organisation",
            "name",
            "url",
            "kinds",
            "state",
            "failing_since",
            "former_until",
        )
        extra_kwargs = {
            "former_until": {"help_text": "Until then the secret before this one signs, too."}
        }


class NewWebhookOut(WebhookOut):
    secret = serializers.CharField(help_text="Signs what is sent; shown this once.")

    class Meta(WebhookOut.Meta):
        fields = (*WebhookOut.Meta.fields, "secret")  # type: ignore[assignment]


class WebhookChangeIn(In):
    name = TextField(max_length=80)
    kinds = serializers.ListField(child=serializers.ChoiceField(KINDS), min_length=1)


class WebhookIn(WebhookChangeIn):
    organisation = serializers.UUIDField()
    url = TextField(max_length=500)


class WebhookViewSet(ApiViewSet[Webhook]):
    """Other systems that your organisations have told; for those whose role manages them."""

    permission_classes = (IsPerson,)
    serializer_class = WebhookOut
    filterset_fields = ("organisation", "state")
    ordering = ("created_at", "id")

    def get_queryset(self) -> QuerySet[Webhook]:
        return webhooks_managed_by(self.person)

    @extend_schema(request=WebhookIn, responses={201: NewWebhookOut}, examples=[TICKETS])
    def create(self, request: Request) -> Response:
        """Have another system told; the answer has the secret."""
        body = self.validated(WebhookIn)
        organisation_id = body.pop("organisation")
        made = services.make_webhook(user=self.person, organisation_id=organisation_id, **body)
        return self._with_secret(*made, status=201)

    create.is_once = False  # type: ignore[attr-defined]  # no secret is kept to be repeated

    @extend_schema(request=WebhookChangeIn, responses=WebhookOut)
    def update(self, request: Request, pk: UUID) -> Response:
        """Another name, or other kinds."""
        body = self.validated(WebhookChangeIn)
        changed = services.change_webhook(user=self.person, webhook_id=pk, **body)
        return Response(WebhookOut(changed).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Remove it for good, with its secrets and its log."""
        services.remove_webhook(user=self.person, webhook_id=pk)
        return Response(status=204)

    @extend_schema(request=None, responses=NewWebhookOut)
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: UUID) -> Response:
        """Make a new secret; for a day the present one signs as well."""
        return self._with_secret(*services.rotate_secret(user=self.person, webhook_id=pk))

    @extend_schema(request=None, responses=WebhookOut)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: UUID) -> Response:
        """Tell it nothing more, until it is enabled."""
        return self._done(services.disable_webhook, pk)

    @extend_schema(request=None, responses=WebhookOut)
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, pk: UUID) -> Response:
        """Tell it again, with what was on its way."""
        return self._done(services.enable_webhook, pk)

    def _done(self, act: Callable[..., Webhook], pk: UUID) -> Response:
        return Response(WebhookOut(act(user=self.person, webhook_id=pk)).data)

    def _with_secret(self, made: Webhook, secret: str, status: int = 200) -> Response:
        made.secret = secret  # type: ignore[attr-defined]  # for the answer alone
        return Response(NewWebhookOut(made).data, status=status)


class DeliveryOut(serializers.ModelSerializer[Delivery]):
    message = serializers.SerializerMethodField(help_text="The header `webhook-id`.")
    event = serializers.CharField(source="event.kind")
    last_at = serializers.DateTimeField(allow_null=True, read_only=True)
    last_status = serializers.IntegerField(allow_null=True, read_only=True)
    last_failure = serializers.CharField(allow_null=True, read_only=True)
    last_ms = serializers.IntegerField(allow_null=True, read_only=True)
    last_bytes = serializers.IntegerField(
        allow_null=True, read_only=True, help_text="Length of the answer."
    )

    class Meta:
        model = Delivery
        fields = (
            "id",
            "message",
            "created_at",
            "webhook",
            "kind",
            "event",
            "state",
            "attempts",
            "next_at",
            "last_at",
            "last_status",
            "last_failure",
            "last_ms",
            "last_bytes",
        )

    def get_message(self, delivery: Delivery) -> str:
        return message_id(delivery)


class DeliveryViewSet(ApiViewSet[Delivery]):
    """What webhooks were told, or are to be, for a month."""

    permission_classes = (IsPerson,)
    serializer_class = DeliveryOut
    filterset_fields = ("webhook", "state", "kind")
    ordering = ("-created_at", "-id")

    def get_queryset(self) -> QuerySet[Delivery]:
        return deliveries_managed_by(self.person)

    @extend_schema(request=None, responses=DeliveryOut)
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: UUID) -> Response:
        """Send it once more, as the same message."""
        services.replay_delivery(user=self.person, delivery_id=pk)
        return Response(DeliveryOut(self.get_object()).data)
