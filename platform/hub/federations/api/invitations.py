"""Invitations of organisations into a federation."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from hub.common.api.limits import Limit
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In
from hub.common.api.views import ReadingViewSet, once
from hub.federations.inviting import invitations_of, invite
from hub.organisations.api.filters import InvitationFilter
from hub.organisations.api.serializers import InvitationOut
from hub.organisations.models import Invitation


class OfferIn(In):
    email = serializers.EmailField(max_length=254)
    standing = serializers.ChoiceField(choices=["contributor", "observer"], default="contributor")


class OfferViewSet(ListModelMixin, ReadingViewSet[Invitation]):
    """Whom a federation that your organisation leads has invited."""

    permission_classes = (IsPerson,)
    serializer_class = InvitationOut
    filterset_class = InvitationFilter
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        return invitations_of(self.person, self.kwargs["federation_id"])

    @extend_schema(request=OfferIn, responses={201: InvitationOut})
    @once
    def create(self, request: Request, federation_id: UUID) -> Response:
        """Invite an organisation by mail, through somebody who acts or will act for it."""
        body = self.validated(OfferIn)
        Limit("invitations").spend(str(self.person.pk))
        made = invite(user=self.person, federation_id=federation_id, **body)
        return Response(InvitationOut(made).data, status=201)
