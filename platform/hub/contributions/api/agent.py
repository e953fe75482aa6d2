"""What agents send of values that they have measured."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from federation.protocol_values import ValuesIn
from hub.contributions.valuations.members import submit_values
from hub.organisations.api.base import AgentView, message_schema


class ValuesView(AgentView):
    @extend_schema(
        operation_id="agent_submit_values",
        request=message_schema(ValuesIn),
        responses={201: None},
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Submit the losses of coalitions on the site's test data, in sums over bins."""
        message = self.message(ValuesIn)
        self.require_key()
        submit_values(agent=self.agent, task_id=task_id, message=message)
        return Response({}, status=201)
