"""Proposals about a line of versions, and the names of its versions, for people and scripts."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from hub.catalogue import selectors
from hub.catalogue.models import Alias, Proposal
from hub.catalogue.versions import aliases, releases
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In, ReasonIn, TextField
from hub.common.api.views import ApiViewSet, ReadingViewSet, once
from hub.common.errors import NotFound

SOME_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
RELEASE = OpenApiExample(
    "Propose a release",
    value={"version": SOME_ID, "reason": "Best for the smallest of us"},
    request_only=True,
)
PILOT = OpenApiExample(
    "Name a version", value={"version": SOME_ID, "name": "pilot-ward-3"}, request_only=True
)


class ProposalIn(In):
    """That a candidate be released, or that the federation go back to a retired version."""

    version = serializers.UUIDField()
    reason = TextField(max_length=450)


class ProposalOut(serializers.ModelSerializer[Proposal]):
    version_number = serializers.IntegerField(source="version.number")
    replaced = serializers.UUIDField(
        source="replaced_id", allow_null=True, help_text="What was released until then."
    )
    organisation = serializers.UUIDField(source="participation.organisation_id")
    organisation_name = serializers.CharField(source="participation.organisation.name")
    proposed_by = serializers.CharField(source="proposed_by.name")
    decided_by = serializers.CharField(source="decided_by.name", default=None, allow_null=True)
    decided_at = serializers.SerializerMethodField()

    class Meta:
        model = Proposal
        fields = (
            "id",
            "federation",
            "kind",
            "state",
            "version",
            "version_number",
            "replaced",
            "reason",
            "answer",
            "organisation",
            "organisation_name",
            "proposed_by",
            "decided_by",
            "created_at",
            "decided_at",
        )

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_decided_at(self, proposal: Proposal) -> str | None:
        return None if proposal.is_open else proposal.state_changed_at.isoformat()


class ProposalFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="federation_id")
    version = filters.UUIDFilter(field_name="version_id")

    class Meta:
        model = Proposal
        fields = ("federation", "version", "kind", "state")


class ProposalViewSet(ApiViewSet[Proposal]):
    """Releases and rollbacks: proposed by anybody in the federation, decided by its rule."""

    permission_classes = (IsPerson,)
    serializer_class = ProposalOut
    filterset_class = ProposalFilter

    def get_queryset(self) -> QuerySet[Proposal]:
        return selectors.proposals_visible_to(self.person)

    @extend_schema(request=ProposalIn, responses={201: ProposalOut}, examples=[RELEASE])
    @once
    def create(self, request: Request) -> Response:
        """Propose a release or a rollback; while one is open, the same again answers with it."""
        body = self.validated(ProposalIn)
        made = releases.propose_release(
            user=self.person, version_id=body["version"], reason=body["reason"]
        )
        return Response(ProposalOut(made).data, status=201)

    @extend_schema(request=ReasonIn, responses=ProposalOut)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: UUID) -> Response:
        """Accept it; for those who decide. It is in force at once."""
        body = self.validated(ReasonIn)
        done = releases.decide(user=self.person, proposal_id=pk, accept=True, **body)
        return Response(ProposalOut(done).data)

    @extend_schema(request=ReasonIn, responses=ProposalOut)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: UUID) -> Response:
        """Refuse it; for those who decide."""
        body = self.validated(ReasonIn)
        done = releases.decide(user=self.person, proposal_id=pk, accept=False, **body)
        return Response(ProposalOut(done).data)

    @extend_schema(request=ReasonIn, responses=ProposalOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: UUID) -> Response:
        """Take it back; for the organisation that made it."""
        body = self.validated(ReasonIn)
        done = releases.withdraw(user=self.person, proposal_id=pk, **body)
        return Response(ProposalOut(done).data)


class AliasIn(In):
    """A name of the federation's own for one of its versions."""

    version = serializers.UUIDField()
    name = serializers.CharField(max_length=200, trim_whitespace=False)


class AliasOut(serializers.ModelSerializer[Alias]):
    version_number = serializers.IntegerField(source="version.number")

    class Meta:
        model = Alias
        fields = ("id", "federation", "name", "version", "version_number", "created_at")


class AliasFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="federation_id")
    version = filters.UUIDFilter(field_name="version_id")

    class Meta:
        model = Alias
        fields = ("federation", "version", "name")


class AliasViewSet(ListModelMixin, ReadingViewSet[Alias]):
    """Names that federations gave to versions; wherever a revision is asked for, they are one."""

    permission_classes = (IsPerson,)
    serializer_class = AliasOut
    filterset_class = AliasFilter

    def get_queryset(self) -> QuerySet[Alias]:
        return aliases.aliases_visible_to(self.person)

    @extend_schema(request=AliasIn, responses={201: AliasOut}, examples=[PILOT])
    @once
    def create(self, request: Request) -> Response:
        """Give a version a name, from another one if need be; for the lead."""
        body = self.validated(AliasIn)
        made = aliases.give_alias(user=self.person, version_id=body["version"], name=body["name"])
        return Response(AliasOut(made).data, status=201)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, pk: UUID) -> Response:
        """Let it mean nothing any more; for the lead. Twice is once."""
        alias = aliases.every_alias_visible_to(self.person).filter(pk=pk).first()
        if alias is None:
            raise NotFound("there is no such name")
        aliases.remove_alias(user=self.person, federation_id=alias.federation_id, name=alias.name)
        return Response(status=204)
