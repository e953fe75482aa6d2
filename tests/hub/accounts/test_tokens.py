from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.accounts import selectors, services
from hub.accounts.errors import TooManyTokens
from hub.accounts.models import ApiToken, User
from hub.common.errors import Invalid, NotFound
from tests.factories.accounts import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


def test_a_token_is_known_only_when_it_is_made():
    user = UserFactory()
    token, secret = services.issue_token(user=user, name=" notebook ", days=30, scope="read")
    assert token.name == "notebook"
    assert secret.startswith("foe_")
    assert secret not in (token.digest, token.token_key)
    left = token.expiry - timezone.now()
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


def test_a_token_may_live_until_it_is_revoked():
    user = UserFactory()
    token, _ = services.issue_token(user=user, name="robot", days=None, scope="write")
    assert token.expiry is None
    services.revoke_token(user=user, token_id=token.token_key)
    with pytest.raises(NotFound):
        services.revoke_token(user=user, token_id=token.token_key)


@pytest.mark.parametrize("days", [0, -1, 366])
def test_a_life_has_bounds(days):
    with pytest.raises(Invalid):
        services.issue_token(user=UserFactory(), name="x", days=days, scope="read")


def test_a_scope_is_one_that_exists():
    with pytest.raises(Invalid):
        services.issue_token(user=UserFactory(), name="x", days=1, scope="admin")
    assert not ApiToken.objects.exists()


def test_nobody_needs_more_than_fifty():
    user = UserFactory()
    for number in range(services.MOST_TOKENS):
        ApiToken.objects.create(user=user, expiry=None, name=str(number))
    with pytest.raises(TooManyTokens):
        services.issue_token(user=user, name="one more", days=1, scope="read")


def test_addresses_are_the_same_whatever_their_case():
    made = User.objects.create_user("Ada@Example.ORG", PASSWORD, name="Ada")
    assert made.email == "ada@example.org"
    assert selectors.person_by_password(email=" ADA@example.org ", password=PASSWORD) == made


def test_a_password_of_a_megabyte_is_not_hashed():
    UserFactory(email="ada@example.org")
    start = time.process_time()
    assert selectors.person_by_password(email="ada@example.org", password="x" * 2**20) is None
    assert time.process_time() - start < 0.05
