"""Federations and the places in them, for people and their scripts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from hub.accounts.api.permissions import RecentlyAuthenticated
from hub.common.api.permissions import IsPerson
from hub.common.api.views import ApiViewSet, ReadingViewSet, once
from hub.federations import selectors, services
from hub.federations.api import filters, serializers
from hub.federations.api.agreements import CharterIn, PolicyIn, SignIn
from hub.federations.charters.alone import put_in_force
from hub.federations.charters.services import sign_charter
from hub.federations.models import DataDeclaration, Federation, Participation

SOME_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SUPPORT = OpenApiExample(
    "Support tickets",
    value={
        "organisation": SOME_ID,
        "name": "Support tickets",
        "purpose": "One model that sorts the tickets of all of us.",
        "charter": "1. Nobody's data leaves its owner.",
        "base_model": SOME_ID,
    },
    request_only=True,
)
SIGN = OpenApiExample(
    "Sign and ask",
    value={"organisation": SOME_ID, "charter_digest": DIGEST, "rank": 8},
    request_only=True,
)


class FederationViewSet(ApiViewSet[Federation]):
    """Federations that you belong to, and listed ones that you may ask to join."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.FederationOut
    filterset_class = filters.FederationFilter
    ordering = ("name", "id")
    ordering_fields = ("name", "created_at")

    def get_queryset(self) -> QuerySet[Federation]:
        return selectors.federations_visible_to(self.person)

    @extend_schema(
        request=serializers.FederationIn,
        responses={201: serializers.FederationOut},
        examples=[SUPPORT],
    )
    @once
    def create(self, request: Request) -> Response:
        """Found a federation that your organisation leads; for owners."""
        body = self.validated(serializers.FederationIn)
        founded = services.create_federation(
            user=self.person,
            organisation_id=body.pop("organisation"),
            base_model_id=body.pop("base_model"),
            **body,
        )
        return Response(serializers.FederationOut(founded).data, status=201)

    @extend_schema(
        request=serializers.JoinIn, responses={201: serializers.ParticipationOut}, examples=[SIGN]
    )
    @action(detail=True, methods=["post"])
    @once
    def join(self, request: Request, pk: UUID) -> Response:
        """Sign the charter for your organisation and ask to be let in; for owners."""
        body = self.validated(serializers.JoinIn)
        organisation_id = body.pop("organisation")
        place = services.request_to_join(
            user=self.person, organisation_id=organisation_id, federation_id=pk, **body
        )
        return Response(serializers.ParticipationOut(place).data, status=201)

    @extend_schema(request=CharterIn, responses=serializers.FederationOut)
    @action(detail=True, methods=["post"])
    def charter(self, request: Request, pk: UUID) -> Response:
        """Put another charter in force, where the lead decides that alone; else propose it."""
        return self._in_force("charter", self.validated(CharterIn))

    @extend_schema(request=PolicyIn, responses=serializers.FederationOut)
    @action(detail=True, methods=["post"])
    def policy(self, request: Request, pk: UUID) -> Response:
        """Put another policy in force, where the lead decides that alone; else propose it."""
        return self._in_force("policy", self.validated(PolicyIn))

    def _in_force(self, kind: str, body: dict[str, Any]) -> Response:
        changed = put_in_force(
            user=self.person,
            federation_id=self.get_object().pk,
            kind=kind,
            reason=body.pop("reason"),
            terms=body,
        )
        return Response(serializers.FederationOut(changed).data)

    @extend_schema(request=serializers.DescriptionIn, responses=serializers.FederationOut)
    @action(detail=True, methods=["post"])
    def describe(self, request: Request, pk: UUID) -> Response:
        """Say what the models are for, in their cards; for the lead's owners."""
        described = services.describe_federation(
            user=self.person,
            federation_id=self.get_object().pk,
            **self.validated(serializers.DescriptionIn),
        )
        return Response(serializers.FederationOut(described).data)


class PlaceViewSet(ListModelMixin, ReadingViewSet[Participation]):
    """The places in one federation; outside yours you see your own organisations' only."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.ParticipationOut
    queryset = Participation.objects.none()
    ordering = ("created_at", "id")

    def get_queryset(self) -> QuerySet[Participation]:
        federations = selectors.federations_visible_to(self.person)
        federation = get_object_or_404(federations, pk=self.kwargs["federation_id"])
        return selectors.participations_visible_to(self.person).filter(federation=federation)


class DeclarationViewSet(ListModelMixin, ReadingViewSet[DataDeclaration]):
    """What an organisation has declared of its data for a federation; the newest is in force."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.DeclarationOut
    queryset = DataDeclaration.objects.none()
    ordering = ("-number", "id")

    def get_queryset(self) -> QuerySet[DataDeclaration]:
        return self._place().declarations.all()

    @extend_schema(request=serializers.DeclarationIn, responses={201: serializers.DeclarationOut})
    def create(self, request: Request, participation_id: UUID) -> Response:
        """Sign how many examples your organisation has, at most; for its owners."""
        signed = services.declare_data(
            user=self.person,
            participation_id=self._place().pk,
            **self.validated(serializers.DeclarationIn),
        )
        return Response(serializers.DeclarationOut(signed).data, status=201)

    def _place(self) -> Participation:
        places = selectors.participations_visible_to(self.person)
        return get_object_or_404(places, pk=self.kwargs["participation_id"])


class ParticipationViewSet(ApiViewSet[Participation]):
    """Your organisations' places, and all places in your federations."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.ParticipationOut
    filterset_class = filters.ParticipationFilter
    ordering = ("created_at", "id")

    def get_queryset(self) -> QuerySet[Participation]:
        return selectors.participations_visible_to(self.person)

    @extend_schema(request=None, responses=serializers.ParticipationOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: UUID) -> Response:
        """Let the organisation in; for owners of the lead."""
        place = services.approve_participation(
            user=self.person, participation_id=self.get_object().pk
        )
        return self._answer(place)

    @extend_schema(request=SignIn, responses=serializers.ParticipationOut)
    @action(detail=True, methods=["post"], permission_classes=(IsPerson, RecentlyAuthenticated))
    def sign(self, request: Request, pk: UUID) -> Response:
        """Sign the charter's present text for your organisation; for owners."""
        place = sign_charter(
            user=self.person, participation_id=self.get_object().pk, **self.validated(SignIn)
        )
        return self._answer(place)

    @extend_schema(request=serializers.RefusalIn, responses=serializers.ParticipationOut)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: UUID) -> Response:
        """Do not let the organisation in, and say why; for owners of the lead."""
        place = services.refuse_participation(
            user=self.person,
            participation_id=self.get_object().pk,
            **self.validated(serializers.RefusalIn),
        )
        return self._answer(place)

    @extend_schema(request=serializers.LeaveIn, responses=serializers.ParticipationOut)
    @action(detail=True, methods=["post"])
    def leave(self, request: Request, pk: UUID) -> Response:
        """Leave, or take back the wish to join; for owners of that organisation.

        With `after_round` it leaves once the round that it has a part in has ended.
        """
        place = services.leave(
            user=self.person,
            participation_id=self.get_object().pk,
            **self.validated(serializers.LeaveIn),
        )
        return self._answer(place)

    @extend_schema(request=None, responses=serializers.ParticipationOut)
    @action(detail=True, methods=["post"])
    def stay(self, request: Request, pk: UUID) -> Response:
        """Take back the wish to leave after the present round; twice is once."""
        place = services.stay(user=self.person, participation_id=self.get_object().pk)
        return self._answer(place)

    @extend_schema(request=serializers.RankIn, responses=serializers.ParticipationOut)
    @action(detail=True, methods=["post"])
    def rank(self, request: Request, pk: UUID) -> Response:
        """Set the largest adapter rank that your organisation trains."""
        place = services.set_rank(
            user=self.person,
            participation_id=self.get_object().pk,
            **self.validated(serializers.RankIn),
        )
        return self._answer(place)

    @extend_schema(request=serializers.StatementIn, responses=serializers.ParticipationOut)
    @action(detail=True, methods=["post"])
    def statement(self, request: Request, pk: UUID) -> Response:
        """Say what your organisation's data are, in the models' cards; for owners."""
        place = services.set_data_statement(
            user=self.person,
            participation_id=self.get_object().pk,
            **self.validated(serializers.StatementIn),
        )
        return self._answer(place)

    def _answer(self, place: Participation) -> Response:
        return Response(serializers.ParticipationOut(place).data)
