from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from hub.accounts import services
from hub.accounts.models import ApiToken, User
from tests.factories.accounts import UserFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

MOST_QUERIES = 10
PROFILE, TOKENS = "/account/", "/account/tokens"
SECRET = r"foe_[0-9a-f]{40,}"


@pytest.fixture
def user() -> User:
    return UserFactory(name="Ada", email="ada@example.org")


def test_the_pages_are_one_s_own(user: User):
    for page in (PROFILE, TOKENS):
        assert browser().get(page).headers["Location"].startswith("/accounts/login/")


def test_the_profile_says_how_one_signs_in(user: User):
    response = browser(user).get(PROFILE)
    assert "ada@example.org Change" in words(response)
    assert "Two-factor authentication Off Set it up" in words(response)
    for name in ("email", "password/change", "2fa", "sessions"):
        assert f'href="/accounts/{name}/"' in response.content.decode()


def test_a_name_is_kept_if_it_is_one(user: User):
    client = browser(user)
    assert "Saved." in words(client.post(PROFILE, {"name": "Ada Lindqvist"}, follow=True))
    user.refresh_from_db()
    assert user.name == "Ada Lindqvist"
    for odd in ("", "Аda", "A\u200bda"):
        assert "This was not accepted" in words(client.post(PROFILE, {"name": odd}))


def test_a_token_is_shown_once_and_works(user: User):
    client = browser(user)
    assert (
        client.post(TOKENS, {"name": "notebook", "days": "30", "scope": "read"}).headers["Location"]
        == TOKENS
    )
    assert not re.search(SECRET, client.head(TOKENS).content.decode())
    response = client.get(TOKENS)
    secret = re.search(SECRET, response.content.decode())
    assert secret
    assert "Token “notebook”" in words(response)
    assert "no-store" in response.headers["Cache-Control"]
    assert secret[0] not in client.get(TOKENS).content.decode()
    assert ApiToken.objects.count() == 1
    script = APIClient()
    script.credentials(HTTP_AUTHORIZATION=f"Bearer {secret[0]}")
    assert script.get("/api/v1/me").json()["email"] == "ada@example.org"
    row = words(client.get(TOKENS))
    assert re.search("notebook foe_[0-9a-f]+ Read ", row)


@pytest.mark.parametrize(
    "sent",
    [
        {"name": "", "days": "30", "scope": "read"},
        {"name": "x", "days": "4000", "scope": "read"},
        {"name": "x", "days": "30", "scope": "admin"},
    ],
)
def test_a_token_that_cannot_be_is_refused(user: User, sent):
    assert "This was not accepted" in words(browser(user).post(TOKENS, sent))
    assert not ApiToken.objects.exists()


def test_revoking_acts_at_once_and_twice_is_absent(user: User):
    token, _ = services.issue_token(user=user, name="notebook", days=None, scope="read")
    client = browser(user)
    told = words(client.post(f"{TOKENS}/{token.token_key}/revoke", follow=True))
    assert "Revoked. It opens nothing any more." in told
    assert "No tokens" in told
    assert client.post(f"{TOKENS}/{token.token_key}/revoke").status_code == 404


def test_nobody_revokes_another_s_token(user: User):
    token, _ = services.issue_token(user=UserFactory(), name="theirs", days=None, scope="read")
    assert browser(user).post(f"{TOKENS}/{token.token_key}/revoke").status_code == 404
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_a_token_that_has_ended_is_told(user: User):
    services.issue_token(user=user, name="old", days=1, scope="read")
    ApiToken.objects.update(expiry=timezone.now() - timedelta(hours=1))
    assert "expired" in words(browser(user).get(TOKENS))


def test_the_menu_leads_to_all_of_it(user: User):
    page = browser(user).get("/").content.decode()
    for url in (PROFILE, TOKENS, "/organisations/", "/accounts/2fa/", "/accounts/sessions/"):
        assert f'href="{url}"' in page
    assert "/console/" not in page


def test_pages_need_few_queries(user: User, django_assert_max_num_queries):
    for number in range(5):
        services.issue_token(user=user, name=f"token {number}", days=30, scope="read")
    client = browser(user)
    for page in (PROFILE, TOKENS):
        with django_assert_max_num_queries(MOST_QUERIES):
            assert client.get(page).status_code == 200
