"""Invitations and roles of an organisation, for people and their scripts."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from hub.common.api.limits import Limit
from hub.common.api.permissions import IsOperator, IsPerson
from hub.common.api.views import ApiViewSet, ReadingViewSet, once
from hub.organisations import selectors, services
from hub.organisations.api import filters, serializers
from hub.organisations.models import CustomRole, Invitation
from hub.organisations.permissions import Permission

COLLEAGUE = OpenApiExample(
    "A colleague", value={"email": "blaise@example.org", "role": "scientist"}, request_only=True
)
CUSTODIAN = OpenApiExample(
    "A data custodian",
    value={"name": "Data custodian", "permissions": ["organisation.see", "agents.manage"]},
    request_only=True,
)
LIMIT = Limit("invitations")


class PersonInvitationViewSet(ListModelMixin, ReadingViewSet[Invitation]):
    """Whom one of your organisations has invited; for those who manage its people."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.InvitationOut
    filterset_class = filters.InvitationFilter
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        place = selectors.require_permission(
            self.person, self.kwargs["organisation_id"], Permission.MANAGE_PEOPLE
        )
        return selectors.people_invited(place.organisation)

    @extend_schema(
        request=serializers.PersonIn,
        responses={201: serializers.InvitationOut},
        examples=[COLLEAGUE],
    )
    @once
    def create(self, request: Request, organisation_id: UUID) -> Response:
        """Invite somebody by mail; the answer is the same whether or not they have an account."""
        body = self.validated(serializers.PersonIn)
        LIMIT.spend(str(self.person.pk))
        made = services.invite_person(organisation_id=organisation_id, user=self.person, **body)
        return Response(serializers.InvitationOut(made).data, status=201)


class InvitationViewSet(ApiViewSet[Invitation]):
    """Invitations to you, and those that you may take back."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.InvitationOut
    filterset_class = filters.InvitationFilter
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        return selectors.invitations_visible_to(self.person)

    def get_permissions(self) -> list[IsPerson]:
        """Operators invite to the hub."""
        return [IsOperator()] if self.action == "create" else [IsPerson()]

    @extend_schema(request=serializers.GuestIn, responses={201: serializers.InvitationOut})
    @once
    def create(self, request: Request) -> Response:
        """Invite an organisation to the hub by mail; for operators."""
        LIMIT.spend(str(self.person.pk))
        made = services.invite_to_hub(user=self.person, **self.validated(serializers.GuestIn))
        return Response(serializers.InvitationOut(made).data, status=201)

    @extend_schema(request=serializers.AnswerIn, responses=serializers.InvitationOut)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: UUID) -> Response:
        """Take the offered place, for yourself or for an organisation of yours."""
        body = self.validated(serializers.AnswerIn)
        found = services.accept_invitation(
            invitation_id=self.get_object().pk, user=self.person, **body
        )
        return Response(serializers.InvitationOut(found).data)

    @extend_schema(request=None, responses=serializers.InvitationOut)
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, pk: UUID) -> Response:
        """Say no to an invitation to you."""
        found = services.decline_invitation(invitation_id=self.get_object().pk, user=self.person)
        return Response(serializers.InvitationOut(found).data)

    @extend_schema(request=None, responses=serializers.InvitationOut)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: UUID) -> Response:
        """Take an offer back; its link is dead."""
        found = services.revoke_invitation(invitation_id=self.get_object().pk, user=self.person)
        return Response(serializers.InvitationOut(found).data)

    @extend_schema(request=None, responses=serializers.InvitationOut)
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, pk: UUID) -> Response:
        """Send a new link; the one before is dead."""
        LIMIT.spend(str(self.person.pk))
        found = services.resend_invitation(invitation_id=self.get_object().pk, user=self.person)
        return Response(serializers.InvitationOut(found).data)


class RoleViewSet(ListModelMixin, ReadingViewSet[CustomRole]):
    """The roles of one of your organisations' own; those that all have are not listed."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.OwnRoleOut
    queryset = CustomRole.objects.none()
    ordering: ClassVar[tuple[str, ...]] = ("name", "id")

    def get_queryset(self) -> QuerySet[CustomRole]:
        place = selectors.require_permission(
            self.person, self.kwargs["organisation_id"], Permission.SEE_ORGANISATION
        )
        return selectors.roles_of(place.organisation)

    @extend_schema(
        request=serializers.OwnRoleIn, responses={201: serializers.OwnRoleOut}, examples=[CUSTODIAN]
    )
    @once
    def create(self, request: Request, organisation_id: UUID) -> Response:
        """Make a role; it carries no more than your own."""
        body = self.validated(serializers.OwnRoleIn)
        made = services.create_role(organisation_id=organisation_id, user=self.person, **body)
        return Response(serializers.OwnRoleOut(made).data, status=201)

    @extend_schema(request=serializers.OwnRoleIn, responses=serializers.OwnRoleOut)
    def update(self, request: Request, organisation_id: UUID, pk: UUID) -> Response:
        """Give a role another name or other permissions, for all who hold it."""
        body = self.validated(serializers.OwnRoleIn)
        held = self.get_object()
        changed = services.change_role(role_id=held.pk, user=self.person, **body)
        return Response(serializers.OwnRoleOut(changed).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, organisation_id: UUID, pk: UUID) -> Response:
        """Delete a role that nobody holds and nobody has been offered."""
        services.delete_role(role_id=self.get_object().pk, user=self.person)
        return Response(status=204)
