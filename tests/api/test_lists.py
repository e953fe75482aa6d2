"""Pages, filters, orders and identifiers: RELIABILITY 5.5, and what each list costs."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hub.federations.models import Federation
from hub.organisations import services as organisations
from tests.conftest import Person
from tests.factories.catalogue import BaseModelFactory
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import AgentFactory, MembershipFactory, OrganisationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def agents(ada: Person) -> list[Any]:
    return [AgentFactory(organisation=ada.organisation, name=f"vault-{n:02}") for n in range(7)]


def names(page: dict) -> list[str]:
    return [row["name"] for row in page["results"]]


def test_following_the_links_shows_everything_once(ada: Person, agents, settings):
    seen, page = [], ada.api.get("/api/v1/agents?page_size=3").json()
    assert page["previous"] is None
    while True:
        seen += names(page)
        if page["next"] is None:
            break
        assert page["next"].startswith(f"{settings.PUBLIC_URL}/api/v1/agents?")
        page = ada.api.get(page["next"].removeprefix(settings.PUBLIC_URL)).json()
    assert seen == [agent.name for agent in agents]


@pytest.mark.parametrize("size", ["0", "-1", "101", "100000000", "1" + "0" * 30, "ten", "٣", ""])
def test_a_page_has_between_one_and_a_hundred_rows(ada: Person, size):
    response = ada.api.get("/api/v1/agents", {"page_size": size})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_fields")
    assert list(response.json()["errors"]) == ["page_size"]


def forged(**parts: str) -> str:
    return base64.b64encode(urlencode(parts).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    ["x", "%00", "é", forged(p="\x00"), forged(o="-1"), forged(o="9" * 30), "A" * 1000],
)
def test_a_cursor_that_somebody_made_up(ada: Person, agents, cursor):
    response = ada.api.get("/api/v1/agents", {"cursor": cursor})
    assert response.status_code in {200, 400}, response.content


def test_a_cursor_with_a_position_of_another_type(ada: Person, agents):
    query = {"cursor": forged(p="not a time"), "ordering": "created_at"}
    response = ada.api.get("/api/v1/agents", query)
    assert (response.status_code, list(response.json()["errors"])) == (400, ["cursor"])


@pytest.mark.parametrize(
    "query",
    [
        "page=1",
        "state__in=active",
        "name__regex=(a%2B)%2B%24",
        "_connector=OR",
        "organisation__slug=x",
        "organisation__members__password__startswith=a",
        "id=1",
    ],
)
def test_a_parameter_that_does_not_exist_is_an_error(ada: Person, query):
    response = ada.api.get(f"/api/v1/agents?{query}")
    assert (response.status_code, response.json()["code"]) == (400, "unknown_parameter")


@pytest.mark.parametrize("order", ["organisation__members__password", "key_id", "?", "", "--name"])
def test_an_order_that_does_not_exist_is_an_error(ada: Person, order):
    response = ada.api.get("/api/v1/agents", {"ordering": order})
    assert (response.status_code, list(response.json()["errors"])) == (400, ["ordering"])


def test_lists_are_ordered_and_filtered(ada: Person, agents):
    reverse = ada.api.get("/api/v1/agents?ordering=-name&page_size=2").json()
    assert names(reverse) == ["vault-06", "vault-05"]
    assert names(ada.api.get("/api/v1/agents?state=revoked").json()) == []
    response = ada.api.get("/api/v1/agents?state=asleep")
    assert (response.status_code, list(response.json()["errors"])) == (400, ["state"])
    response = ada.api.get("/api/v1/agents", {"organisation": "\x00"})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "pk", ["-1", "1" + "0" * 30, "%00", "..%2f..%2fetc", "x", "0" * 32, "00000000-0000-0000-0000"]
)
def test_an_identifier_that_is_none_names_nothing(ada: Person, pk):
    for things in ("organisations", "agents", "federations", "participations", "runs", "events"):
        response = ada.api.get(f"/api/v1/{things}/{pk}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


# What a list costs: token and person, their other tokens, and then the list itself.
SIGNED_IN = 2
COSTS = {
    "/api/v1/tokens": 1,
    "/api/v1/organisations": 1,
    "/api/v1/organisations/{organisation}/members": 2,
    "/api/v1/organisations/{organisation}/invitations": 2,
    "/api/v1/organisations/{organisation}/roles": 2,
    "/api/v1/invitations": 2,
    "/api/v1/agents": 1,
    "/api/v1/federations": 1,
    "/api/v1/federations/{federation}/participations": 2,
    "/api/v1/participations": 1,
    "/api/v1/participations/{participation}/declarations": 2,
}


def more(ada: Person, federation: Federation) -> None:
    MembershipFactory(user=ada.user)
    MembershipFactory(organisation=ada.organisation)
    number = ada.organisation.custom_roles.count()
    organisations.invite_person(
        organisation_id=ada.organisation.pk,
        email=f"{number}@example.org",
        role="owner",
        user=ada.user,
    )
    ada.organisation.custom_roles.create(name=f"Role {number}")
    AgentFactory(organisation=ada.organisation)
    FederationFactory(base_model=BaseModelFactory())
    ParticipationFactory(federation=federation, organisation=OrganisationFactory())
    place = federation.participations.get(organisation=ada.organisation)
    place.declarations.create(
        number=place.declarations.count() + 1, train_examples=1, test_examples=1, signed_by=ada.user
    )
    ada.user.auth_token_set.model.objects.create(user=ada.user, expiry=None, name="more")


@pytest.mark.parametrize("path", COSTS)
def test_a_list_costs_the_same_however_long_it_is(ada: Person, federation, path):
    here = path.format(
        organisation=ada.organisation.pk,
        federation=federation.pk,
        participation=federation.participations.get(organisation=ada.organisation).pk,
    )
    ada.api.get(here)
    for _ in range(3):
        more(ada, federation)
        with CaptureQueriesContext(connection) as queries:
            rows = ada.api.get(here).json()["results"]
        assert len(queries) == SIGNED_IN + COSTS[path], [q["sql"] for q in queries]
    assert len(rows) >= 3
