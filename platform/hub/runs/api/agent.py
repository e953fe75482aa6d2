"""What agents call: lease, heartbeat, upload, submit. Every request is signed."""

from __future__ import annotations

import time
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from federation import protocol
from federation.protocol_commitments import CommitmentIn, CommitmentOut
from hub.common.handler import until_woken
from hub.organisations.api.base import AgentView, message_schema
from hub.organisations.services import touch_agent
from hub.runs import services
from hub.runs.standing import standing_of

LONGEST_WAIT = 30.0


def answer(message: BaseModel, status: int = 200) -> Response:
    return Response(message.model_dump(mode="json"), status=status)


class LeaseView(AgentView):
    """Long poll: answered the moment there is work for the agent, with 204 after `wait`.

    Each call looks once; between the looks an idle agent costs a coroutine.
    """

    @extend_schema(
        operation_id="agent_lease",
        parameters=[
            OpenApiParameter("wait", float, description="Longest wait in seconds, up to 30.")
        ],
        request=message_schema(protocol.LeaseRequest),
        responses={200: message_schema(protocol.TaskOffer), 204: None},
    )
    def post(self, request: Request) -> Response:
        message = self.message(protocol.LeaseRequest)
        asked = request._request  # noqa: SLF001 (the same one each time that this looks)
        until: float | None = getattr(asked, "wait_until", None)
        is_first = until is None
        if until is None:
            until = time.monotonic() + _wait(asked)
            asked.wait_until = until  # type: ignore[attr-defined]
            touch_agent(
                agent=self.agent,
                version=message.agent_version,
                protocol=str(self.peer.version),
                device=message.device,
                federations=message.federations,
                policy=message.policy,
            )
        if message.busy:
            return Response(status=204)
        offer = services.lease_task(
            agent=self.agent,
            federations=message.federations,
            held=message.held if is_first else None,
        )
        if offer is not None:
            return answer(offer)
        work = f"organisation:{self.agent.organisation_id}"
        return until_woken(Response(status=204), channels=[work], until=until)


def _wait(request: HttpRequest) -> float:
    try:
        return max(0.0, min(float(request.GET.get("wait", "0")), LONGEST_WAIT))
    except ValueError:
        return 0.0


class StandingView(AgentView):
    @extend_schema(operation_id="agent_standing", responses=message_schema(protocol.StandingOut))
    def get(self, request: Request) -> Response:
        """Who the agent is here, and what its organisation takes part in."""
        return answer(standing_of(self.agent))


class HeartbeatView(AgentView):
    @extend_schema(
        operation_id="agent_heartbeat",
        request=message_schema(protocol.HeartbeatIn),
        responses=message_schema(protocol.HeartbeatOut),
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Renew the lease, tell the progress, learn whether to go on."""
        message = self.message(protocol.HeartbeatIn)
        return answer(services.heartbeat(agent=self.agent, task_id=task_id, message=message))


class UploadsView(AgentView):
    @extend_schema(
        operation_id="agent_begin_upload",
        request=message_schema(protocol.UploadIn),
        responses={201: message_schema(protocol.UploadOut)},
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Announce an update's bytes; go on with PATCH at the returned offset."""
        upload = services.begin_update_upload(
            agent=self.agent, task_id=task_id, message=self.message(protocol.UploadIn)
        )
        out = protocol.UploadOut(
            id=upload.pk,
            offset=upload.offset,
            complete=upload.state == "complete",
            chunk_bytes=settings.UPLOAD_CHUNK_BYTES,
        )
        return answer(out, status=201)


class CommitmentsView(AgentView):
    @extend_schema(
        operation_id="agent_commit_update",
        request=message_schema(CommitmentIn),
        responses={201: message_schema(CommitmentOut)},
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Say which update will be sent, in a run whose plan asks for it (`commit_seconds`)."""
        message = self.message(CommitmentIn)
        made = services.commit_update(agent=self.agent, task_id=task_id, message=message)
        return answer(made, status=201)


class UpdatesView(AgentView):
    @extend_schema(
        operation_id="agent_submit_update",
        request=message_schema(protocol.UpdateIn),
        responses={201: message_schema(protocol.Receipt)},
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Submit the signed statement about an uploaded update; answered with a receipt."""
        message = self.message(protocol.UpdateIn)
        self.require_key()
        receipt = services.submit_update(agent=self.agent, task_id=task_id, message=message)
        return answer(receipt, status=201)


class EvaluationsView(AgentView):
    @extend_schema(
        operation_id="agent_submit_evaluation",
        request=message_schema(protocol.EvaluationIn),
        responses={201: None},
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Submit the sufficient statistics of an evaluation."""
        message = self.message(protocol.EvaluationIn)
        self.require_key()
        services.submit_evaluation(agent=self.agent, task_id=task_id, message=message)
        return Response({}, status=201)


class FailuresView(AgentView):
    @extend_schema(
        operation_id="agent_fail_task",
        request=message_schema(protocol.FailureIn),
        responses={200: None},
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """The task could not, or will not, be done; says why."""
        message = self.message(protocol.FailureIn)
        services.fail_task(agent=self.agent, task_id=task_id, message=message)
        return Response({})


class ReleaseView(AgentView):
    @extend_schema(
        operation_id="agent_release_task",
        request=message_schema(protocol.ReleaseIn),
        responses={200: None},
    )
    def post(self, request: Request, task_id: UUID) -> Response:
        """Hand the lease back, so that another agent may take the task at once."""
        message = self.message(protocol.ReleaseIn)
        services.release_task(agent=self.agent, task_id=task_id, fence=message.fence)
        return Response({})
