"""Organisations, their people and their agents, for people and their scripts."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from hub.accounts.api.permissions import RecentlyAuthenticated
from hub.common.api.permissions import IsOperator, IsPerson
from hub.common.api.serializers import ReasonIn
from hub.common.api.views import ApiViewSet, ReadingViewSet, once
from hub.organisations import selectors, services
from hub.organisations.api import filters, serializers
from hub.organisations.models import Agent, Membership, Organisation
from hub.organisations.permissions import Permission

BANK = OpenApiExample(
    "A bank",
    value={"name": "Bergen Bank", "description": "Savings and loans since 1904"},
    request_only=True,
)


class OrganisationViewSet(ApiViewSet[Organisation]):
    """The organisations that you act for; operators see all."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.OrganisationOut
    filterset_class = filters.OrganisationFilter
    ordering = ("name",)
    ordering_fields = ("name", "created_at")

    def get_queryset(self) -> QuerySet[Organisation]:
        return selectors.organisations_visible_to(self.person)

    @extend_schema(
        request=serializers.OrganisationIn,
        responses={201: serializers.OrganisationOut},
        examples=[BANK],
    )
    @once
    def create(self, request: Request) -> Response:
        """Register an organisation; you become its owner, and an operator approves it."""
        body = self.validated(serializers.OrganisationIn)
        made = services.register_organisation(user=self.person, **body)
        return Response(serializers.OrganisationOut(made).data, status=201)

    @extend_schema(request=serializers.ProfileIn, responses=serializers.OrganisationOut)
    def update(self, request: Request, pk: UUID) -> Response:
        """Change what it says of itself; for those who may edit it. The name stays."""
        body = self.validated(serializers.ProfileIn)
        edited = services.edit_organisation(organisation_id=pk, user=self.person, **body)
        return Response(serializers.OrganisationOut(edited).data)

    @extend_schema(request=None, responses={201: serializers.CodeOut})
    @action(
        detail=True,
        methods=["post"],
        url_path="enrolment-codes",
        permission_classes=(IsPerson, RecentlyAuthenticated),
    )
    def enrolment_codes(self, request: Request, pk: UUID) -> Response:
        """Make a one-time code that lets one agent in; for owners."""
        code, secret = services.make_enrolment_code(organisation_id=pk, user=self.person)
        code.code = secret  # type: ignore[attr-defined]  # for the answer alone
        return Response(serializers.CodeOut(code).data, status=201)

    @extend_schema(request=ReasonIn, responses=serializers.OrganisationOut)
    @action(detail=True, methods=["post"], permission_classes=(IsOperator, RecentlyAuthenticated))
    def approve(self, request: Request, pk: UUID) -> Response:
        """Let it take part; for operators."""
        return self._decided(services.approve_organisation, pk)

    @extend_schema(request=ReasonIn, responses=serializers.OrganisationOut)
    @action(detail=True, methods=["post"], permission_classes=(IsOperator, RecentlyAuthenticated))
    def refuse(self, request: Request, pk: UUID) -> Response:
        """Refuse the registration, for good; for operators."""
        return self._decided(services.refuse_organisation, pk)

    @extend_schema(request=ReasonIn, responses=serializers.OrganisationOut)
    @action(detail=True, methods=["post"], permission_classes=(IsOperator, RecentlyAuthenticated))
    def suspend(self, request: Request, pk: UUID) -> Response:
        """Stop it; its agents are refused from their next request on. For operators."""
        return self._decided(services.suspend_organisation, pk)

    @extend_schema(request=ReasonIn, responses=serializers.OrganisationOut)
    @action(detail=True, methods=["post"], permission_classes=(IsOperator, RecentlyAuthenticated))
    def reinstate(self, request: Request, pk: UUID) -> Response:
        """Let it take part again; for operators."""
        return self._decided(services.reinstate_organisation, pk)

    def _decided(self, decide: Callable[..., Organisation], pk: UUID) -> Response:
        reason = self.validated(ReasonIn)["reason"]
        decided = decide(organisation_id=pk, actor=self.actor, reason=reason)
        return Response(serializers.OrganisationOut(decided).data)


class MemberViewSet(ListModelMixin, ReadingViewSet[Membership]):
    """The people who act for one of your organisations."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.MemberOut
    ordering = ("created_at",)
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        place = selectors.require_permission(
            self.person, self.kwargs["organisation_id"], Permission.SEE_ORGANISATION
        )
        return selectors.members_of(place.organisation)

    @extend_schema(request=serializers.RoleChoiceIn, responses=serializers.MemberOut)
    def partial_update(self, request: Request, organisation_id: UUID, pk: UUID) -> Response:
        """Give somebody another role; for those who manage people and have as much themselves."""
        body = self.validated(serializers.RoleChoiceIn)
        place = services.set_role(
            organisation_id=organisation_id, user_id=pk, user=self.person, **body
        )
        return Response(serializers.MemberOut(place).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, organisation_id: UUID, pk: UUID) -> Response:
        """Take a person's place away; for owners, and for oneself."""
        services.remove_member(organisation_id=organisation_id, user_id=pk, user=self.person)
        return Response(status=204)


class AgentViewSet(ApiViewSet[Agent]):
    """The agents of your organisations, revoked ones too."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.AgentOut
    filterset_class = filters.AgentFilter
    ordering = ("name", "id")
    ordering_fields = ("name", "last_seen_at", "created_at")

    def get_queryset(self) -> QuerySet[Agent]:
        return selectors.agents_of(self.person)

    @extend_schema(request=serializers.NameIn, responses=serializers.AgentOut)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename an agent; for owners."""
        name = self.validated(serializers.NameIn)["name"]
        agent = services.rename_agent(agent_id=self.get_object().pk, name=name, user=self.person)
        return Response(serializers.AgentOut(agent).data)

    @extend_schema(request=ReasonIn, responses=serializers.AgentOut)
    @action(detail=True, methods=["post"], permission_classes=(IsPerson, RecentlyAuthenticated))
    def revoke(self, request: Request, pk: UUID) -> Response:
        """End an agent's key for good; for owners. Acts on its next request."""
        agent = self.get_object()
        selectors.require_permission(self.person, agent.organisation_id, Permission.MANAGE_AGENTS)
        reason = self.validated(ReasonIn)["reason"]
        revoked = services.revoke_agent(agent_id=agent.pk, actor=self.actor, reason=reason)
        return Response(serializers.AgentOut(revoked).data)
