"""Signed requests of agents: RELIABILITY 5.3 and 7.1. The refusals of the signature itself are
tested beside `federation.signatures`; here is what the hub adds."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.urls import path
from django.utils import timezone
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from federation.protocol import LeaseRequest
from federation.signatures import generate_private_key, new_nonce
from hub.common.actors import HUB
from hub.organisations import services
from hub.organisations.api.base import AgentView
from hub.organisations.models import Organisation, UsedNonce
from hub.urls import handler400, handler403, handler404, handler500, urlpatterns
from tests.conftest import Person
from tests.factories.organisations import AgentFactory
from tests.signing import SignedClient, signed_headers

pytestmark = pytest.mark.django_db

ECHO = "/api/v1/agent/echo"


class EchoView(AgentView):
    """Says who asked and what was understood."""

    def get(self, request: Request) -> Response:
        return Response({"agent": self.agent.name})

    def post(self, request: Request) -> Response:
        message: BaseModel = self.message(LeaseRequest)
        return Response({"agent": self.agent.name, **message.model_dump(mode="json")})


class OnceView(AgentView):
    def post(self, request: Request) -> Response:
        return self.once(self.count)

    def count(self) -> Response:
        made = Organisation.objects.create(name="x", slug="x", contact_email="x@example.org")
        return Response({"id": str(made.pk)}, status=201)


urlpatterns = [
    path("api/v1/agent/echo", EchoView.as_view()),
    path("api/v1/agent/once", OnceView.as_view()),
    *urlpatterns,
]
__all__ = ["handler400", "handler403", "handler404", "handler500"]


@pytest.fixture(autouse=True)
def echo(settings) -> None:
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def agent(ada: Person):
    return AgentFactory(organisation=ada.organisation, name="vault-1")


@pytest.fixture
def client(agent) -> SignedClient:
    return SignedClient(agent)


ASKED = {"agent_version": "0.1.0", "federations": ["one"]}


def refused(response, status: int, code: str) -> bool:
    return (response.status_code, response.json()["code"]) == (status, code)


def test_a_signed_request_is_the_agent_s(client, django_assert_num_queries):
    with django_assert_num_queries(2):  # the agent with its organisation, and the nonce
        response = client.send("POST", ECHO, ASKED)
    assert response.json() == {"agent": "vault-1", "device": "cpu", "busy": False, **ASKED}


def test_path_and_query_are_signed_too(client, agent):
    assert client.send("GET", f"{ECHO}?wait=25&x=%20").status_code == 200
    headers = signed_headers(agent, "GET", f"{ECHO}?wait=25")
    response = client.as_signed("GET", f"{ECHO}?wait=26", b"", headers)
    assert refused(response, 401, "bad_signature")


def test_without_a_signature_nobody_is_an_agent(ada: Person, api_client):
    response = api_client.post(ECHO, ASKED)
    assert refused(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == "Signature"
    assert ada.api.post(ECHO, ASKED).status_code == 401


def test_a_captured_request_opens_nothing(client, agent):
    nonce = new_nonce()
    headers = signed_headers(agent, "GET", ECHO, nonce=nonce)
    assert client.as_signed("GET", ECHO, b"", headers).status_code == 200
    assert refused(client.as_signed("GET", ECHO, b"", headers), 401, "replayed_nonce")
    assert UsedNonce.objects.filter(nonce=nonce).count() == 1


def test_another_body_is_refused_and_spends_no_nonce(client, agent):
    headers = signed_headers(agent, "POST", ECHO, json.dumps(ASKED).encode())
    response = client.as_signed("POST", ECHO, b"{}", headers)
    assert refused(response, 401, "bad_digest")
    assert not UsedNonce.objects.exists()


@pytest.mark.parametrize("skew", [-3600, -125, 125, 3600])
def test_a_clock_that_is_wrong_is_told_the_time(client, skew):
    response = client.send("GET", ECHO, now=timezone.now() + timedelta(seconds=skew))
    assert refused(response, 401, "clock_skew")
    assert f"{timezone.now():%Y-%m-%dT%H:}" in response.json()["detail"]


@pytest.mark.parametrize("skew", [-30, 30])
def test_a_clock_that_is_a_little_wrong_will_do(client, skew):
    now = timezone.now() + timedelta(seconds=skew)
    assert client.send("GET", ECHO, now=now).status_code == 200


def test_a_revoked_key_is_refused_at_the_next_request(client, agent):
    assert client.send("GET", ECHO).status_code == 200
    services.revoke_agent(agent_id=agent.pk, actor=HUB, reason="stolen")
    assert refused(client.send("GET", ECHO), 401, "revoked_key")


def test_a_suspended_organisation_s_agents_wait_outside(client, agent):
    services.suspend_organisation(organisation_id=agent.organisation_id, actor=HUB)
    assert refused(client.send("GET", ECHO), 403, "organisation_suspended")
    services.reinstate_organisation(organisation_id=agent.organisation_id, actor=HUB)
    assert client.send("GET", ECHO).status_code == 200


def test_a_key_that_nobody_enrolled(agent):
    agent.private_key = generate_private_key()
    assert refused(SignedClient(agent).send("GET", ECHO), 401, "bad_signature")
    agent.key_id = "0" * 64
    assert refused(SignedClient(agent).send("GET", ECHO), 401, "unknown_key")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b'{"agent_version": "1", "agent_version": "2", "federations": []}', 400, "malformed"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"agent_version": 1, "federations": []}', 422, "invalid"),
        (b'{"agent_version": "1", "federations": [], "busy": 1}', 422, "invalid"),
        (b'{"agent_version": "1", "federations": [], "busy": "true"}', 422, "invalid"),
        (b'{"agent_version": "1", "federations": [], "role": "owner"}', 422, "invalid"),
    ],
)
def test_a_message_is_what_the_protocol_says(client, body, status, code):
    response = client.send("POST", ECHO, body)
    assert refused(response, status, code)
    assert ("errors" in response.json()) is (status == 422)


def test_the_wrong_fields_of_a_message_are_named(client):
    errors = client.send("POST", ECHO, {"federations": [1], "x": 2}).json()["errors"]
    assert set(errors) == {"agent_version", "federations.0", "x"}


def test_a_retry_has_a_new_nonce_and_the_old_key(client):
    first = client.send("POST", "/api/v1/agent/once", {}, Idempotency_Key="k")
    second = client.send("POST", "/api/v1/agent/once", {}, Idempotency_Key="k")
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["Idempotency-Replayed"] == "true"
