"""Comparisons with what each organisation reaches alone, for scripts."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from hub.common.api.permissions import IsPerson
from hub.common.api.views import ApiView
from hub.runs.api.serializers import RunOut
from hub.runs.services.alone import train_alone


class AloneView(ApiView):
    permission_classes = (IsPerson,)

    @extend_schema(operation_id="run_alone", request=None, responses={201: RunOut(many=True)})
    def post(self, request: Request, pk: UUID) -> Response:
        """Have each organisation of a complete run train alone. Asked again: the same runs."""
        made = train_alone(user=self.person, run_id=pk)
        return Response(RunOut(made, many=True).data, status=201)
