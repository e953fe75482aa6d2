"""Runs, rounds, tasks, updates and events for people and their scripts."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from hub.catalogue.api.blobs import BYTES, RANGE_HEADER
from hub.catalogue.blobs.streaming import artifact_response
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import ReasonIn
from hub.common.api.views import ApiViewSet
from hub.common.errors import NotFound
from hub.common.models import Event
from hub.runs import selectors, services
from hub.runs.api import filters, serializers
from hub.runs.models import Recomputation, Round, Run, Task, Update

TWO_ROUNDS = OpenApiExample(
    "Two rounds",
    value={
        "federation": "0192f0c1-0000-7000-8000-000000000000",
        "name": "First steps",
        "plan": {
            "task": {"type": "sequence_classification", "labels": ["ham", "spam"]},
            "rounds": {"count": 2, "quorum": 2},
        },
        "start": True,
    },
    request_only=True,
)


class RunViewSet(ApiViewSet[Run]):
    """Runs of the federations that your organisations take part in."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.RunOut
    filterset_class = filters.RunFilter
    ordering = ("-created_at",)

    def get_queryset(self) -> QuerySet[Run]:
        return selectors.runs_visible_to(self.person)

    @extend_schema(
        request=serializers.RunIn, responses={201: serializers.RunOut}, examples=[TWO_ROUNDS]
    )
    def create(self, request: Request) -> Response:
        """Plan a run of a federation of yours, and start it if you say so."""
        body = self.validated(serializers.RunIn)
        return self.once(lambda: self._created(body))

    def _created(self, body: dict[str, Any]) -> Response:
        run = services.create_run(
            user=self.person,
            federation_id=body["federation"],
            name=body["name"],
            plan=body["plan"],
            purpose=body["purpose"],
            trainers=body["trainers"],
            evaluators=body["evaluators"],
            parent_version_id=body["parent_version"],
        )
        if body["start"]:
            run = services.start_run(user=self.person, run_id=run.pk)
        return Response(serializers.RunOut(run).data, status=201)

    @extend_schema(request=None, responses=serializers.RunOut)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Freeze the plan and queue the run. Starting twice changes nothing."""
        return self._answer(services.start_run(user=self.person, run_id=self.get_object().pk))

    @extend_schema(request=None, responses=serializers.RunOut)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Hand out no more work until resumed."""
        return self._answer(services.pause_run(user=self.person, run_id=self.get_object().pk))

    @extend_schema(request=None, responses=serializers.RunOut)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on with a paused run; the deadline moves by the pause."""
        return self._answer(services.resume_run(user=self.person, run_id=self.get_object().pk))

    @extend_schema(request=ReasonIn, responses=serializers.RunOut)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop the run for good."""
        reason = self.validated(ReasonIn)["reason"]
        run_id = self.get_object().pk
        return self._answer(services.cancel_run(user=self.person, run_id=run_id, reason=reason))

    def _answer(self, run: Run) -> Response:
        return Response(serializers.RunOut(run).data)


class RoundViewSet(ApiViewSet[Round]):
    """Rounds of the runs that you may see: their state, and how each ended."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.RoundOut
    filterset_class = filters.RoundFilter
    ordering = ("-created_at",)

    def get_queryset(self) -> QuerySet[Round]:
        return selectors.rounds_visible_to(self.person).select_related("comparison")

    @extend_schema(responses=serializers.ComparisonOut)
    @action(detail=True, methods=["get"])
    def comparison(self, request: Request, pk: str) -> Response:
        """How the updates stand to each other: norms and cosines, once all are in."""
        found = getattr(self.get_object(), "comparison", None)
        if found is None:
            raise NotFound("the updates of this round have not been compared")
        return Response(serializers.ComparisonOut(found).data)

    @extend_schema(responses=serializers.MethodsOut)
    @action(detail=True, methods=["get"])
    def methods(self, request: Request, pk: str) -> Response:
        """What the round's updates can be aggregated with; its own method first."""
        found = {"methods": list(selectors.methods_for(self.get_object()).values())}
        return Response(serializers.MethodsOut(found).data)

    @extend_schema(request=serializers.MethodsIn, responses={202: serializers.RecomputationsOut})
    @action(detail=True, methods=["post"])
    def recompute(self, request: Request, pk: str) -> Response:
        """Have the round computed with other methods, in the background; nothing is published.

        What has been computed before is not computed again.
        """
        rows = services.recompute_round(
            user=self.person,
            round_id=self.get_object().pk,
            keys=self.validated(serializers.MethodsIn)["methods"],
        )
        found = {"recomputations": rows}
        return Response(serializers.RecomputationsOut(found).data, status=202)

    @extend_schema(request=None, responses={202: serializers.RecomputationOut})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: str) -> Response:
        """Have a closed round computed again by its own method, and its digest compared."""
        row = services.replay_round(user=self.person, round_id=self.get_object().pk)
        return Response(serializers.RecomputationOut(row).data, status=202)

    @extend_schema(request=None, responses={202: serializers.StackingOut})
    @action(detail=True, methods=["post"])
    def stack(self, request: Request, pk: str) -> Response:
        """Have a closed round's stacked adapter made: every component has an owner.

        For runs whose plan has `transfer.attributable`.
        """
        row = services.stack_round(user=self.person, round_id=self.get_object().pk)
        return Response(serializers.StackingOut(row).data, status=202)

    @extend_schema(operation_id="round_stacked", parameters=[RANGE_HEADER], responses=BYTES)
    @action(detail=True, methods=["get"])
    def stacked(self, request: Request, pk: str) -> HttpResponseBase:
        """The stacked adapter as a file, once it is made."""
        current = self.get_object()
        artifact = services.stacked_adapter(user=self.person, current=current)
        filename = f"round-{current.number}-stacked.safetensors"
        return artifact_response(request._request, artifact, filename=filename)  # noqa: SLF001


class RecomputationViewSet(ApiViewSet[Recomputation]):
    """What closed rounds came to when they were computed again: replays, and other methods."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.RecomputationOut
    filterset_class = filters.RecomputationFilter
    ordering = ("-created_at",)

    def get_queryset(self) -> QuerySet[Recomputation]:
        return selectors.recomputations_visible_to(self.person)


class TaskViewSet(ApiViewSet[Task]):
    """What agents were asked to do in these rounds, and what became of it."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.TaskOut
    filterset_class = filters.TaskFilter
    ordering = ("-created_at",)

    def get_queryset(self) -> QuerySet[Task]:
        return selectors.tasks_visible_to(self.person)


class UpdateViewSet(ApiViewSet[Update]):
    """What organisations delivered, with the verdict on it; the bytes are a blob."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.UpdateOut
    filterset_class = filters.UpdateFilter
    ordering = ("-created_at",)

    def get_queryset(self) -> QuerySet[Update]:
        return selectors.updates_visible_to(self.person)

    @extend_schema(request=serializers.VerdictIn, responses=serializers.UpdateOut)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: str) -> Response:
        """Count a quarantined update after all; needs the lead organisation and a reason."""
        return self._judged(accept=True)

    @extend_schema(request=serializers.VerdictIn, responses=serializers.UpdateOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Refuse a quarantined update; needs the lead organisation and a reason."""
        return self._judged(accept=False)

    def _judged(self, *, accept: bool) -> Response:
        update = services.judge_update(
            user=self.person,
            update_id=self.get_object().pk,
            accept=accept,
            reason=self.validated(serializers.VerdictIn)["reason"],
        )
        return Response(serializers.UpdateOut(update).data)


class EventViewSet(ApiViewSet[Event]):
    """What happened, newest first; the same rows that the live feed shows."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.EventOut
    filterset_class = filters.EventFilter
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[Event]:
        return selectors.events_visible_to(self.person)
