"""Proposals of all kinds, and votes on them, for people and their scripts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In, ReasonIn, TextField
from hub.common.api.views import ApiViewSet, once
from hub.federations.models import Choice, Proposal, ProposalState, Vote
from hub.federations.proposals import services
from hub.federations.proposals.kinds import words_of
from hub.federations.proposals.selectors import proposals_visible_to

SOME_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
RELEASE = OpenApiExample(
    "Propose a release",
    value={
        "federation": SOME_ID,
        "kind": "release",
        "terms": {"version": SOME_ID},
        "reason": "Best for the smallest of us",
    },
    request_only=True,
)
EXPEL = OpenApiExample(
    "Propose an expulsion",
    value={
        "federation": SOME_ID,
        "kind": "expel",
        "terms": {"participation": SOME_ID},
        "reason": "It has sent copies of others' updates in three runs",
    },
    request_only=True,
)
YES = OpenApiExample("Vote yes", value={"choice": "yes"}, request_only=True)
TERMS: dict[str, Any] = {"type": "object", "additionalProperties": {}}


@extend_schema_field(TERMS)
class TermsField(serializers.DictField):
    """What a kind of proposal is about; each kind checks its own."""


class ProposalIn(In):
    """That a federation do something; `terms` are what its kind needs, such as a version."""

    federation = serializers.UUIDField()
    kind = serializers.CharField(
        max_length=24,
        help_text="admit, suspend, restore, expel, lead, dissolve, charter, policy, run, release "
        "or rollback.",
    )
    terms = TermsField(required=False, default=dict)
    reason = TextField(max_length=services.LONGEST_REASON)


class VoteIn(In):
    """An organisation's voice; until the vote closes it may be given anew."""

    choice = serializers.ChoiceField(choices=Choice.choices)
    reason = TextField(max_length=services.LONGEST_REASON, required=False, default="")
    participation = serializers.UUIDField(
        required=False,
        help_text="For which place, where you vote for several organisations.",
    )


class VoteOut(serializers.ModelSerializer[Vote]):
    organisation = serializers.UUIDField(source="participation.organisation_id")
    organisation_name = serializers.CharField(source="participation.organisation.name")
    voter = serializers.CharField(source="voter.name")

    class Meta:
        model = Vote
        fields = (
            "participation",
            "organisation",
            "organisation_name",
            "choice",
            "reason",
            "voter",
            "at",
        )


class ProposalOut(serializers.ModelSerializer[Proposal]):
    words = serializers.SerializerMethodField(help_text="Completes «propose to …».")
    terms = TermsField()
    result = TermsField(help_text="What applying it has left, such as what was replaced.")
    organisation = serializers.UUIDField(source="participation.organisation_id")
    organisation_name = serializers.CharField(source="participation.organisation.name")
    proposed_by = serializers.CharField(source="proposed_by.name")
    decided_by = serializers.CharField(source="decided_by.name", default=None, allow_null=True)
    rule = TermsField(help_text="quorum, majority and days, as they were when it was made.")
    electorate = serializers.ListField(
        child=serializers.UUIDField(), help_text="The places that have a voice."
    )
    votes = VoteOut(many=True)

    class Meta:
        model = Proposal
        fields = (
            "id",
            "federation",
            "kind",
            "state",
            "words",
            "terms",
            "reason",
            "answer",
            "result",
            "organisation",
            "organisation_name",
            "proposed_by",
            "is_led",
            "rule",
            "electorate",
            "votes",
            "closes_at",
            "created_at",
            "decided_at",
            "decided_by",
        )

    def get_words(self, proposal: Proposal) -> str:
        return words_of(proposal)


class ProposalFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="federation_id")
    version = filters.UUIDFilter(method="of_version")
    state = filters.ChoiceFilter(choices=ProposalState.choices)

    class Meta:
        model = Proposal
        fields = ("federation", "version", "kind", "state")

    def of_version(
        self, proposals: QuerySet[Proposal], _: str, version: UUID
    ) -> QuerySet[Proposal]:
        return proposals.filter(terms__version=str(version))


class ProposalViewSet(ApiViewSet[Proposal]):
    """What was proposed in your federations, who voted how, and what became of it."""

    permission_classes = (IsPerson,)
    serializer_class = ProposalOut
    filterset_class = ProposalFilter

    def get_queryset(self) -> QuerySet[Proposal]:
        votes = Vote.objects.select_related("voter", "participation__organisation")
        return proposals_visible_to(self.person).prefetch_related(Prefetch("votes", votes))

    @extend_schema(request=ProposalIn, responses={201: ProposalOut}, examples=[RELEASE, EXPEL])
    @once
    def create(self, request: Request) -> Response:
        """Propose something; while it is open, the same again answers with it.

        It is your organisation's yes, too, if you may vote for it.
        """
        body = self.validated(ProposalIn)
        made = services.propose(
            user=self.person,
            federation_id=body["federation"],
            kind=body["kind"],
            terms=body["terms"],
            reason=body["reason"],
        )
        return Response(self._told(made), status=201)

    @extend_schema(request=VoteIn, responses=ProposalOut, examples=[YES])
    @action(detail=True, methods=["post"])
    def vote(self, request: Request, pk: UUID) -> Response:
        """Vote for your organisation. The vote that settles it also applies it."""
        body = self.validated(VoteIn)
        done = services.vote(
            user=self.person,
            proposal_id=pk,
            choice=body["choice"],
            reason=body["reason"],
            participation_id=body.get("participation"),
        )
        return Response(self._told(done))

    @extend_schema(request=ReasonIn, responses=ProposalOut)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: UUID) -> Response:
        """Take it back; for the organisation that made it."""
        body = self.validated(ReasonIn)
        done = services.withdraw(user=self.person, proposal_id=pk, **body)
        return Response(self._told(done))

    def _told(self, proposal: Proposal) -> dict[str, Any]:
        """As it is now, with its votes."""
        return ProposalOut(self.get_queryset().get(pk=proposal.pk)).data
