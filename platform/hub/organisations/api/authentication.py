"""How agents prove who they are: every request signed after RFC 9421, each nonce once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from federation.signatures import SignatureRefused, check_digest, verify_head
from hub.common.actors import Actor
from hub.common.bodies import sha256_of_body
from hub.organisations import services
from hub.organisations.errors import AgentLeft, RevokedKey, Suspended
from hub.organisations.models import Agent, AgentKey, AgentState, OrganisationState
from hub.organisations.selectors import agent_key


@dataclass(frozen=True, slots=True)
class AgentPrincipal:
    """The agent as `request.user`."""

    agent: Agent
    is_authenticated: bool = True
    is_staff: bool = False
    is_active: bool = True

    @property
    def pk(self) -> Any:
        return self.agent.pk

    @property
    def actor(self) -> Actor:
        return self.agent.actor


class SignedAgentAuthentication(BaseAuthentication):
    """`request.user` is the principal, `request.auth` the agent. Two queries.

    A view that has its own answer for a body that is not the signed one says so
    (`checks_body = True`) and compares them itself; for all others it is done here.
    """

    def authenticate(self, request: Request) -> tuple[AgentPrincipal, Agent] | None:
        if "Signature-Input" not in request.headers:
            return None
        view = (request.parser_context or {}).get("view")
        checks_body = getattr(view, "checks_body", False)
        agent = signing_agent(request._request, checks_body=checks_body)  # noqa: SLF001
        return AgentPrincipal(agent), agent

    def authenticate_header(self, request: Request) -> str:
        return "Signature"


def signing_agent(request: HttpRequest, *, checks_body: bool = False) -> Agent:
    """The agent that signed the request; looks again when asked again about the same request.

    Raises:
        AuthenticationFailed: not signed as it must be; the code says how.
        ReplayedNonce, RevokedKey, AgentLeft, Suspended: signed, and refused all the same.
    """
    known: str | None = getattr(request, "signed_by", None)
    key = agent_key(known) if known else _verified(request, checks_body=checks_body)
    if key is None or not key.is_in_force or key.agent.state == AgentState.REVOKED:
        raise RevokedKey("Enrol the agent again, with a new key.")
    if key.agent.is_final:
        raise AgentLeft("Enrol it again to go on.")
    if key.agent.organisation.state == OrganisationState.SUSPENDED:
        raise Suspended("Ask the hub's operator.")
    request.signed_by = key.key_id  # type: ignore[attr-defined]
    return key.agent


def _verified(request: HttpRequest, *, checks_body: bool) -> AgentKey:
    found: dict[str, AgentKey] = {}

    def resolve(name: str) -> bytes:
        key = agent_key(name)
        if key is None or not key.is_in_force:
            raise LookupError(name)
        found[name] = key
        return bytes(key.public_key)

    now = timezone.now()
    try:
        verified = verify_head(
            method=request.method or "",
            url=request.build_absolute_uri(request.get_full_path()),
            headers=request.headers,
            resolve_key=resolve,
            now=now,
        )
        if not checks_body:
            check_digest(request.headers, sha256_of_body(request))
    except SignatureRefused as refused:
        when = f"; the hub's clock says {now.isoformat()}" if refused.code == "clock_skew" else ""
        raise AuthenticationFailed(refused.detail + when, code=refused.code) from refused
    services.spend_nonce(key_id=verified.key_id, nonce=verified.nonce)
    return found[verified.key_id]


class SignatureScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "hub.organisations.api.authentication.SignedAgentAuthentication"
    name = "signature"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        about = "RFC 9421, Ed25519, by the key of an enrolled agent; `foedus-agent` does it."
        return {"type": "apiKey", "in": "header", "name": "Signature", "description": about}
