"""An agent's identity: enrolment, before it has a signature; then new keys, and its leave."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from federation.protocol import EnrolmentIn, EnrolmentOut, KeyIn, KeyOut, LeaveIn
from hub.common.api.limits import Limit, address_of
from hub.common.api.permissions import Anyone
from hub.organisations import services
from hub.organisations.api.base import AgentView, MessageView, message_schema
from hub.organisations.errors import CodeExpired, CodeSpent, CodeUnknown
from hub.organisations.models import Agent
from hub.organisations.selectors import hub_key

NONCE = {"type": "object", "required": ["nonce"], "properties": {"nonce": {"type": "string"}}}


class NonceView(MessageView):
    authentication_classes = ()
    permission_classes = (Anyone,)

    @extend_schema(operation_id="agent_enrolment_nonce", responses={200: NONCE})
    def get(self, request: Request) -> Response:
        """A nonce to sign when enrolling, good for ten minutes."""
        return Response({"nonce": services.new_nonce()})


class EnrolmentView(MessageView):
    authentication_classes = ()
    permission_classes = (Anyone,)
    limit = Limit("enrolment")

    @extend_schema(
        operation_id="agent_enrol",
        request=message_schema(EnrolmentIn),
        responses={201: message_schema(EnrolmentOut)},
    )
    def post(self, request: Request) -> Response:
        """Let an agent in: a one-time code, its public key, and proof that it has the key."""
        address = address_of(request)
        self.limit.check(address)
        try:
            agent = services.enrol_agent(message=self.message(EnrolmentIn))
        except (CodeUnknown, CodeSpent, CodeExpired):
            self.limit.spend(address)
            raise
        return Response(_welcome(agent).model_dump(mode="json"), status=201)


class KeysView(AgentView):
    @extend_schema(
        operation_id="agent_rotate_key",
        request=message_schema(KeyIn),
        responses={201: message_schema(KeyOut)},
    )
    def post(self, request: Request) -> Response:
        """Put a new key in the present one's place; the old one is good for a day more."""
        signed_by: str = request._request.signed_by  # type: ignore[attr-defined]  # noqa: SLF001
        message = self.message(KeyIn)
        old = services.rotate_key(agent=self.agent, signed_by=signed_by, message=message)
        assert old.expires_at is not None
        out = KeyOut(replaces=old.key_id, replaces_until=old.expires_at)
        return Response(out.model_dump(mode="json"), status=201)


class LeaveView(AgentView):
    @extend_schema(
        operation_id="agent_leave", request=message_schema(LeaveIn), responses={200: None}
    )
    def post(self, request: Request) -> Response:
        """Go for good: the keys end, leases and uploads are closed."""
        services.leave(agent=self.agent, reason=self.message(LeaveIn).reason)
        return Response({})


def _welcome(agent: Agent) -> EnrolmentOut:
    key = hub_key()
    return EnrolmentOut(
        agent=agent.pk,
        organisation=agent.organisation.slug,
        organisation_name=agent.organisation.name,
        key_id=agent.key_id,
        hub_public_key=key.public_key,
        hub_key_id=key.key_id,
        ledger_key=settings.LEDGER_VERIFIER_KEY,
    )
