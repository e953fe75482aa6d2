"""Agents of other versions of the protocol at the hub."""

from __future__ import annotations

import pytest

from federation.negotiation import Version
from federation.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION
from tests.conftest import Person
from tests.factories.organisations import AgentFactory
from tests.signing import SignedClient

pytestmark = pytest.mark.django_db

OURS = Version.of(PROTOCOL_VERSION)
NEXT, FAR = f"{OURS.major}.{OURS.minor + 1}", f"{OURS.major}.{OURS.minor + 2}"
BEFORE = f"{OURS.major}.{OURS.minor - 1}"
LEASES = "/api/v1/agent/leases?wait=0"
ASKED = {"agent_version": "0", "federations": [], "busy": True}


@pytest.fixture
def client(ada: Person) -> SignedClient:
    return SignedClient(AgentFactory(organisation=ada.organisation))


@pytest.mark.parametrize("version", [BEFORE, PROTOCOL_VERSION, NEXT, None])
def test_one_minor_version_of_skew_is_no_matter(client: SignedClient, version: str | None) -> None:
    said = {"Foedus_Protocol": version} if version else {}
    response = client.send("POST", LEASES, ASKED, **said)
    assert response.status_code == 204
    assert response.headers[PROTOCOL_HEADER] == PROTOCOL_VERSION


def test_what_a_newer_agent_says_beyond_our_knowledge_is_passed_over(client: SignedClient) -> None:
    asked = {**ASKED, "weather": "fine"}
    assert client.send("POST", LEASES, asked, Foedus_Protocol=NEXT).status_code == 204
    refused = client.send("POST", LEASES, asked, Foedus_Protocol=PROTOCOL_VERSION)
    assert (refused.status_code, refused.json()["errors"]) == (
        422,
        {"weather": ["Extra inputs are not permitted"]},
    )


@pytest.mark.parametrize("version", [FAR, f"{OURS.major + 1}.0", "0.9", "tomorrow"])
def test_an_agent_that_is_too_far_away_is_told_which_are_understood(
    client: SignedClient, version: str
) -> None:
    response = client.send("POST", LEASES, ASKED, Foedus_Protocol=version)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (426, "protocol_version")
    assert f"{BEFORE} to {NEXT} are understood" in problem["detail"]
    assert problem["protocol"] == response.headers[PROTOCOL_HEADER] == PROTOCOL_VERSION


def test_it_is_told_before_anything_else(client: SignedClient) -> None:
    """Also who has not enrolled yet, or signs in a way that we do not know."""
    path = "/api/v1/agent/enrolments"
    response = client.generic("POST", path, data=b"{}", headers={PROTOCOL_HEADER: FAR})
    assert (response.status_code, response.json()["code"]) == (426, "protocol_version")
