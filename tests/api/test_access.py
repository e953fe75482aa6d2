"""Who may call what: every address of the API, and every thing of another tenant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient
from rest_framework.views import APIView

from hub.common.api.permissions import Anyone
from hub.organisations.models import Role
from tests.conftest import Person, client_of
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import AgentFactory, MembershipFactory

API = "api/v1/"
OPEN = {
    "api/v1/",
    "api/v1/plan-schema",
    "api/v1/schema",
    "api/v1/agent/enrolments",
    "api/v1/agent/enrolments/nonce",
}


@dataclass(frozen=True)
class Endpoint:
    path: str
    view: Any  # the view's class
    initkwargs: dict[str, Any]

    @property
    def permissions(self) -> Any:
        return self.initkwargs.get("permission_classes", self.view.permission_classes)

    def __str__(self) -> str:
        return self.path


def endpoints(resolver: URLResolver, before: str = "") -> Iterator[Endpoint]:
    for pattern in resolver.url_patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from endpoints(pattern, path)
        elif isinstance(pattern, URLPattern) and path.startswith(API):
            view = pattern.callback
            yield Endpoint(path, getattr(view, "cls", view), getattr(view, "initkwargs", {}))


ENDPOINTS = list(endpoints(get_resolver()))


def test_the_api_has_addresses():
    assert len(ENDPOINTS) > 40


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_every_view_says_itself_who_may_call_it(endpoint: Endpoint):
    """Below the framework's own classes, so that nobody relies on what a default happens to be."""
    assert isinstance(endpoint.view, type)
    assert issubclass(endpoint.view, APIView)
    ours = [base for base in endpoint.view.__mro__ if base.__module__.startswith("hub.")]
    assert any("permission_classes" in vars(base) for base in ours)
    assert endpoint.permissions


def test_nothing_is_open_but_what_is_meant_to_be():
    assert {e.path for e in ENDPOINTS if Anyone in e.permissions} == OPEN


@pytest.mark.django_db
@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.path not in OPEN], ids=str)
def test_without_proof_nothing_is_to_be_had(endpoint: Endpoint):
    filled = re.sub(r"<sha256:\w+>", "a" * 64, endpoint.path)
    filled = re.sub(r"<int:\w+>", "7", filled)
    filled = re.sub(r"<\w+:\w+>|\(\?P<pk>[^)]*\)", str(uuid4()), filled)
    path = "/" + filled.strip("^$").replace("/^", "/")
    for method in ("get", "post", "patch", "delete"):
        response = getattr(APIClient(), method)(path)
        assert response.status_code in {401, 405}, response.content


# What Ada's federation has, and every way to reach it; {…} is the identifier of hers.
ROUTES = [
    ("get", "/api/v1/organisations/{organisation}", None),
    ("get", "/api/v1/organisations/{organisation}/members", None),
    ("patch", "/api/v1/organisations/{organisation}/members/{person}", {"role": "owner"}),
    ("get", "/api/v1/organisations/{organisation}/invitations", None),
    (
        "post",
        "/api/v1/organisations/{organisation}/invitations",
        {"email": "c@x.org", "role": "owner"},
    ),
    ("get", "/api/v1/organisations/{organisation}/roles", None),
    ("delete", "/api/v1/organisations/{organisation}/members/{person}", None),
    ("post", "/api/v1/organisations/{organisation}/enrolment-codes", None),
    ("get", "/api/v1/agents/{agent}", None),
    ("patch", "/api/v1/agents/{agent}", {"name": "mine"}),
    ("post", "/api/v1/agents/{agent}/revoke", {}),
    ("get", "/api/v1/federations/{federation}", None),
    ("get", "/api/v1/federations/{federation}/participations", None),
    ("post", "/api/v1/federations/{federation}/join", "join"),
    ("get", "/api/v1/participations/{participation}", None),
    ("post", "/api/v1/participations/{participation}/approve", None),
    ("post", "/api/v1/participations/{participation}/refuse", {"reason": "no"}),
    ("post", "/api/v1/participations/{participation}/leave", {}),
    ("post", "/api/v1/participations/{participation}/rank", {"rank": 4}),
    ("get", "/api/v1/participations/{participation}/declarations", None),
    (
        "post",
        "/api/v1/participations/{participation}/declarations",
        {"train_examples": 1, "test_examples": 1},
    ),
]


def ask(client: APIClient, route: tuple[str, str, Any], ids: dict[str, Any], said: Any):
    method, path, body = route
    body = said if body == "join" else body
    return getattr(client, method)(
        path.format(**ids), body, headers={"Idempotency-Key": str(uuid4())}
    )


def seen(response) -> tuple[int, dict]:
    document = response.json()
    document.pop("request_id")
    return response.status_code, document


@pytest.fixture
def hidden(ada: Person, blaise: Person) -> dict[str, Any]:
    """Ada's things, in a federation that is not listed."""
    federation = FederationFactory(lead=ada.organisation, is_listed=False)
    asked = ParticipationFactory(
        federation=federation, organisation=blaise.organisation, state="requested"
    )
    return {
        "organisation": ada.organisation.pk,
        "person": ada.user.pk,
        "agent": AgentFactory(organisation=ada.organisation).pk,
        "federation": federation.pk,
        "participation": asked.pk,
        "digest": federation.charter_digest,
    }


@pytest.mark.django_db
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_what_is_another_tenant_s_looks_as_if_it_were_not_there(carol, hidden, route):
    joining = {"organisation": str(carol.organisation.pk), "charter_digest": hidden["digest"]}
    absent = {name: uuid4() for name in hidden}
    foreign = seen(ask(carol.api, route, hidden, joining))
    assert foreign == seen(ask(carol.api, route, absent, joining))
    assert foreign[0] == 404


@pytest.mark.django_db
@pytest.mark.parametrize("things", ["organisations", "agents", "federations", "participations"])
def test_a_list_has_nothing_of_another_tenant(carol, hidden, things):
    rows = carol.api.get(f"/api/v1/{things}").json()["results"]
    assert not {row["id"] for row in rows} & {str(pk) for pk in hidden.values()}


@pytest.mark.django_db
def test_a_nested_address_under_a_foreign_parent_is_absent(carol, hidden):
    path = f"/api/v1/organisations/{hidden['organisation']}/members/{carol.user.pk}"
    assert carol.api.delete(path).status_code == 404


FOR_OWNERS = [
    ("patch", "/api/v1/organisations/{organisation}/members/{person}", {"role": "auditor"}),
    ("get", "/api/v1/organisations/{organisation}/invitations", None),
    (
        "post",
        "/api/v1/organisations/{organisation}/invitations",
        {"email": "c@x.org", "role": "auditor"},
    ),
    (
        "post",
        "/api/v1/organisations/{organisation}/roles",
        {"name": "Reader", "permissions": ["organisation.see"]},
    ),
    ("delete", "/api/v1/organisations/{organisation}/members/{person}", None),
    ("post", "/api/v1/organisations/{organisation}/enrolment-codes", None),
    ("patch", "/api/v1/agents/{agent}", {"name": "mine"}),
    ("post", "/api/v1/agents/{agent}/revoke", {}),
    ("post", "/api/v1/participations/{participation}/approve", None),
    ("post", "/api/v1/participations/{participation}/refuse", {"reason": "no"}),
]


@pytest.mark.django_db
@pytest.mark.parametrize("route", FOR_OWNERS, ids=lambda route: f"{route[0]} {route[1]}")
def test_a_scientist_may_not_do_what_owners_do(ada, hidden, route):
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST).user
    response = ask(client_of(scientist), route, hidden, None)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


@pytest.mark.django_db
@pytest.mark.parametrize("act", ["approve", "refuse", "suspend", "reinstate"])
def test_only_operators_decide_about_organisations(ada, act):
    response = ada.api.post(f"/api/v1/organisations/{ada.organisation.pk}/{act}", {})
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


@pytest.mark.django_db
def test_who_was_removed_a_second_ago_sees_nothing(ada):
    place = MembershipFactory(organisation=ada.organisation)
    client = client_of(place.user)
    path = f"/api/v1/organisations/{ada.organisation.pk}"
    assert client.get(path).status_code == 200
    assert ada.api.delete(f"{path}/members/{place.user.pk}").status_code == 204
    assert client.get(path).status_code == 404
