from __future__ import annotations

from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from hub.accounts.models import User
from tests.factories.accounts import PASSWORD, UserFactory
from tests.hub.runs.world import World, make_world


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def olga(db: None) -> User:
    """An operator, who is no superuser: `is_staff` is all there is."""
    return UserFactory(name="Olga", email="olga@example.org", is_staff=True)


@pytest.fixture
def console(olga: User) -> Client:
    """Olga's browser, signed in as one signs in to the pages."""
    return signed_in(olga)


def signed_in(user: User) -> Client:
    cache.clear()  # sign-ins are limited by the minute
    client = Client()
    answer = client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    assert answer.status_code == 302, "the sign-in was refused"
    return client


def signed_in_long_ago(user: User) -> Client:
    """The same, an hour ago: a sign-in of just now is as good as being asked again."""
    client = signed_in(user)
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] -= 3600
    session.save()
    return client


def reauthenticated(client: Client) -> Client:
    answer = client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert answer.status_code == 302, "the password was refused"
    return client
