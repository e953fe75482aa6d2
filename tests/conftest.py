"""The cast: Ada's organisation coordinates, Blaise's participates, Carol's stands outside."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from rest_framework.test import APIClient

from hub.accounts.models import ApiToken, User
from hub.common import switches
from hub.common.models import Switchboard
from hub.federations.models import Federation
from hub.organisations.models import Organisation
from tests.factories.accounts import UserFactory
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import MembershipFactory, OrganisationFactory

# torch needs a while for its first call, and the same run finds the same cases everywhere.
settings.register_profile("foedus", deadline=None, derandomize=True, database=None)
settings.load_profile("foedus")


@pytest.fixture(autouse=True)
def open_hub() -> None:
    """No operator has set anything; whatever sets something is looked for. Costs no query."""
    switches.presume(Switchboard())


@dataclass(frozen=True)
class Person:
    """Somebody with an organisation of their own and a client that carries their token."""

    user: User
    organisation: Organisation
    api: APIClient


def client_of(user: User) -> APIClient:
    _, token = ApiToken.objects.create(user=user, expiry=None, name="tests")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def owner(name: str, organisation: str) -> Person:
    user = UserFactory(name=name, email=f"{name.lower()}@example.org")
    place = MembershipFactory(
        user=user, organisation=OrganisationFactory(name=organisation, slug=name.lower())
    )
    return Person(user, place.organisation, client_of(user))


@pytest.fixture
def api_client() -> APIClient:
    """Nobody: no session, no token."""
    return APIClient()


@pytest.fixture
def ada(db: None) -> Person:
    return owner("Ada", "Ada Institute")


@pytest.fixture
def blaise(db: None) -> Person:
    return owner("Blaise", "Blaise Bank")


@pytest.fixture
def carol(db: None) -> Person:
    return owner("Carol", "Carol Clinic")


@pytest.fixture
def operator(db: None) -> Person:
    """Runs the hub; belongs to no federation."""
    person = owner("Olga", "Operators")
    person.user.is_staff = True
    person.user.save(update_fields=["is_staff"])
    return person


@pytest.fixture
def federation(ada: Person, blaise: Person) -> Federation:
    """Led by Ada's organisation, with Blaise's taking part."""
    made = FederationFactory(lead=ada.organisation)
    ParticipationFactory(federation=made, organisation=blaise.organisation, signed_by=blaise.user)
    return made
