"""The ledger of a federation: for its people to read and to fetch, for its agents to witness."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from federation.protocol_ledger import CheckpointOut as CheckpointMessage
from federation.protocol_ledger import CosignatureIn
from hub.common.api.permissions import IsPerson
from hub.common.api.problems import problem_of
from hub.common.api.views import ApiView, ReadingViewSet
from hub.common.handler import until_woken
from hub.common.waiting import wait_until
from hub.contributions import witnesses
from hub.federations.models import Federation
from hub.federations.selectors import federations_of
from hub.ledger import selectors
from hub.ledger.errors import CheckpointPending, NoSuchTree
from hub.ledger.exporting import Export, cosigned
from hub.ledger.models import Checkpoint, Entry, EntryType
from hub.organisations.api.base import AgentView, message_schema

LINES = "application/jsonl"
DIGITS = 16
SIGNED_SECONDS = 2.0  # by then a checkpoint that somebody waits for is there


class EntryOut(serializers.ModelSerializer[Entry]):
    index = serializers.IntegerField(source="position")
    leaf = serializers.SerializerMethodField(help_text="SHA-256 of a zero byte and the text, hex.")
    text = serializers.CharField(help_text="What is hashed: canonical JSON (RFC 8785).")
    payload = serializers.SerializerMethodField()

    class Meta:
        model = Entry
        fields = ("index", "type", "key", "at", "leaf", "text", "payload")

    def get_leaf(self, entry: Entry) -> str:
        return bytes(entry.leaf or b"").hex()

    def get_payload(self, entry: Entry) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(entry.payload)
        return payload


class CheckpointOut(serializers.ModelSerializer[Checkpoint]):
    root = serializers.SerializerMethodField(help_text="Hex.")  # type: ignore[assignment]
    note = serializers.SerializerMethodField(
        help_text="The C2SP checkpoint with the lines of all who have cosigned it."
    )
    witnesses = serializers.SerializerMethodField(help_text="Participations that have cosigned it.")

    class Meta:
        model = Checkpoint
        fields = ("size", "root", "note", "at", "witnesses")

    def get_root(self, row: Checkpoint) -> str:
        return bytes(row.root).hex()

    def get_note(self, row: Checkpoint) -> str:
        return cosigned(row)

    def get_witnesses(self, row: Checkpoint) -> list[UUID]:
        return sorted({one.participation for one in row.cosignatures.all()})


class ProvedOut(EntryOut):
    size = serializers.IntegerField(allow_null=True, help_text="Of the checkpoint.")
    root = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    proof = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="RFC 6962, 2.1.1, in hex."
    )

    class Meta(EntryOut.Meta):
        fields = (*EntryOut.Meta.fields, "size", "root", "proof")  # type: ignore[assignment]


class ConsistencyOut(serializers.Serializer[Any]):
    old_root = serializers.CharField()
    new_root = serializers.CharField()
    proof = serializers.ListField(
        child=serializers.CharField(), help_text="RFC 6962, 2.1.2, in hex."
    )


class EntryFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    type = filters.ChoiceFilter(choices=EntryType.choices)
    after = filters.NumberFilter(
        field_name="position", lookup_expr="gt", label="Index after which to begin."
    )

    class Meta:
        model = Entry
        fields = ("type", "after")


def number_in(request: Request, name: str) -> int:
    """A parameter of the query that counts something."""
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise ValidationError({name: ["A whole number, please."]})
    return int(text)


class OfFederation(ApiView):
    """What is below `federations/{federation_id}/ledger`; of other federations there is none."""

    permission_classes = (IsPerson,)

    @cached_property
    def federation(self) -> Federation:
        return get_object_or_404(federations_of(self.person), pk=self.kwargs["federation_id"])


class EntryViewSet(OfFederation, ListModelMixin, ReadingViewSet[Entry]):
    """All entries of a federation's ledger, in order."""

    serializer_class = EntryOut
    filterset_class = EntryFilter
    queryset = Entry.objects.none()
    ordering = ("position",)

    def get_queryset(self) -> QuerySet[Entry]:
        return selectors.entries_of(self.federation.pk)


class CheckpointViewSet(OfFederation, ListModelMixin, ReadingViewSet[Checkpoint]):
    """What was signed of a federation's ledger, the newest first, and who has cosigned it."""

    serializer_class = CheckpointOut
    queryset = Checkpoint.objects.none()
    ordering = ("-size",)

    def get_queryset(self) -> QuerySet[Checkpoint]:
        return selectors.checkpoints_of(self.federation.pk).prefetch_related("cosignatures")


class EntryView(OfFederation):
    @extend_schema(
        operation_id="federation_ledger_entry",
        parameters=[
            OpenApiParameter("size", int, description="Of a checkpoint; the newest by default.")
        ],
        responses=ProvedOut,
    )
    def get(self, request: Request, federation_id: UUID, index: int) -> Response:
        """One entry, and the proof that it is in a checkpoint; null while none covers it."""
        ledger = self.federation.pk
        entry: Any = selectors.entry_at(ledger, index)
        row = self._checkpoint(ledger, index)
        entry.size = row.size if row else None
        entry.root = bytes(row.root).hex() if row else None
        proof = selectors.inclusion_proof(ledger, index, row.size) if row else None
        entry.proof = None if proof is None else [step.hex() for step in proof]
        return Response(ProvedOut(entry).data)

    def _checkpoint(self, ledger: UUID, index: int) -> Checkpoint | None:
        covering = selectors.checkpoints_of(ledger).filter(size__gt=index)
        if "size" not in self.request.query_params:
            return covering.last()
        found = covering.filter(size=number_in(self.request, "size")).first()
        if found is None:
            raise NoSuchTree("no checkpoint of this size covers the entry")
        return found


class ConsistencyView(OfFederation):
    @extend_schema(
        operation_id="federation_ledger_consistency",
        parameters=[
            OpenApiParameter("from", int, required=True, description="Size of the older tree."),
            OpenApiParameter("to", int, required=True, description="Size of the newer tree."),
        ],
        responses=ConsistencyOut,
    )
    def get(self, request: Request, federation_id: UUID) -> Response:
        """The proof that the ledger at one size begins with what it was at another."""
        ledger = self.federation.pk
        old, new = number_in(request, "from"), number_in(request, "to")
        proof = selectors.consistency_proof(ledger, old, new)
        found = {
            "old_root": selectors.root_at(ledger, old).hex(),
            "new_root": selectors.root_at(ledger, new).hex(),
            "proof": [step.hex() for step in proof],
        }
        return Response(ConsistencyOut(found).data)


class ExportView(OfFederation):
    @extend_schema(
        operation_id="federation_ledger_export",
        responses={(200, LINES): OpenApiTypes.STR},
    )
    def get(self, request: Request, federation_id: UUID) -> StreamingHttpResponse:
        """The whole ledger as lines of JSON, for `foedus-verify ledger`."""
        response = StreamingHttpResponse(Export(self.federation.pk), content_type=LINES)
        name = f"{self.federation.slug}-ledger.jsonl"
        response["Content-Disposition"] = content_disposition_header(True, name) or ""
        response["Cache-Control"] = "private, no-store"
        return response


class AgentCheckpointView(AgentView):
    @extend_schema(
        operation_id="agent_ledger_checkpoint",
        parameters=[
            OpenApiParameter("from", int, description="Size of the checkpoint that it has kept."),
            OpenApiParameter("covers", int, description="Index of an entry to be shown."),
        ],
        responses=message_schema(CheckpointMessage),
    )
    def get(self, request: Request, federation_id: UUID) -> HttpResponse:
        """The newest checkpoint, and the proof that it extends the one the agent has kept."""
        asked = request.query_params
        try:
            shown = witnesses.checkpoint_for(
                agent=self.agent,
                federation_id=federation_id,
                known=number_in(request, "from") if "from" in asked else 0,
                covers=number_in(request, "covers") if "covers" in asked else None,
            )
        except CheckpointPending as pending:
            until = wait_until(request._request, SIGNED_SECONDS)  # noqa: SLF001
            signed = [f"ledger:{federation_id}"]
            return until_woken(problem_of(pending).response(), channels=signed, until=until)
        return Response(shown.model_dump(mode="json"))


class CosignaturesView(AgentView):
    @extend_schema(
        operation_id="agent_ledger_cosign",
        request=message_schema(CosignatureIn),
        responses={201: None},
    )
    def post(self, request: Request, federation_id: UUID) -> Response:
        """Say that the agent has seen a checkpoint, and that it extends its last."""
        signed_by: str = request._request.signed_by  # type: ignore[attr-defined]  # noqa: SLF001
        witnesses.cosign(
            agent=self.agent,
            key_id=signed_by,
            federation_id=federation_id,
            message=self.message(CosignatureIn),
        )
        return Response({}, status=201)
